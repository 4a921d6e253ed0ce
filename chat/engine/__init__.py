"""The turn pipeline: ASR ▶ context ▶ LLM ▶ segments ▶ speakable text ▶ TTS. No Django."""
