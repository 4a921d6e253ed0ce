"""``manage.py make_voice_samples``: what a person hears before choosing a voice."""

import asyncio
import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from voice import catalogue
from voice.audio.codecs import Mp3Encoder
from voice.errors import ProviderError
from voice.tts.kokoro import SAMPLE_RATE, KokoroSynthesizer

_LINES = Path(__file__).resolve().parents[2] / "data" / "sample_lines.json"
_BIT_RATE = 40  # kbit/s


class Command(BaseCommand):
    help = "Speak a sentence in each local voice into static/voices. Needs the speech weights."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--force", action="store_true", help="make those again that exist")

    def handle(self, *args: Any, force: bool, **options: Any) -> None:
        folder = Path(settings.BASE_DIR) / "static" / "voices"
        lines: dict[str, str] = json.loads(_LINES.read_text(encoding="utf-8"))
        voices = [entry for entry in catalogue.delivered() if entry.provider == "local"]
        missing = [v for v in voices if force or not (folder / f"{v.voice_type}.mp3").exists()]
        try:
            asyncio.run(self._speak(missing, lines, folder))
        except ProviderError as error:
            raise CommandError(str(error)) from error

    async def _speak(
        self, voices: list[catalogue.Entry], lines: dict[str, str], folder: Path
    ) -> None:
        synthesizer = KokoroSynthesizer(settings.MODELS_DIR)
        try:
            for voice in voices:
                encoder = Mp3Encoder(SAMPLE_RATE, bit_rate=_BIT_RATE)
                length, sample = 0, b""
                async for pcm in synthesizer.synthesize(
                    lines[voice.provider_voice], voice=voice.ref()
                ):
                    length += len(pcm) // 2
                    sample += encoder.encode(pcm)
                (folder / f"{voice.voice_type}.mp3").write_bytes(sample + encoder.finish())
                self.stdout.write(f"{voice.voice_type}  {length / SAMPLE_RATE:.1f} s")
        finally:
            await synthesizer.aclose()
