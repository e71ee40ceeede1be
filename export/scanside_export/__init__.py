"""The model engineer's side, never on the box: cases prepared, networks trained, exported, quantised and proved.

Its door is the command `scanside-export` (`cli`). What it hands over is a bundle that `scanside_runtime` opens;
preprocessing and measures are the runtime's own, so that both sides see the same picture.
"""
