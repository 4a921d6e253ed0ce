"""Conversations, memory, and the turn engine that keeps them going."""
