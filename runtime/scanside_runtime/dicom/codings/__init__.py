"""How stored pixels are coded: decoders, what a codestream says of itself, deflated files."""
