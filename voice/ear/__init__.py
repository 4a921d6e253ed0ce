"""Hears when a person speaks: voice activity, where utterances begin and end. No Django."""
