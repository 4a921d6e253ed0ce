"""Voices, speech recognition and synthesis, audio."""
