"""The characters: roles that users write and presets that operators keep."""
