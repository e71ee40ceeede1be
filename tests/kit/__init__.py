"""What tests share: data made by construction."""
