"""OpenAI's Realtime protocol over the engine."""
