"""ffmpeg filters that mix the microphones of one programme."""

from __future__ import annotations

MICROPHONE = "channelmap=map=0:channel_layout=mono"
"""Takes one channel for that of a microphone, whatever place its layout gives it: a camera's left is no direction."""

MIX = "amerge=inputs=2,pan=stereo|c0=0.5*c0+0.5*c1|c1=0.5*c0+0.5*c1"
"""Mixes two microphones, so that both ears get both. At half the level, the sum never exceeds full scale."""
