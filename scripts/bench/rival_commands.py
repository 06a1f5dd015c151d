"""Hand-written ffmpeg commands for the same ladder: one decode for all rungs, or one per rung."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasks.transcode.sandbox.ffmpeg import ffmpeg_binary

if TYPE_CHECKING:
    from pathlib import Path

    from tasks.transcode import Plan, Rung


def cascade_command(source: Path, plan: Plan) -> list[str]:
    """Return one command that decodes once, scales each rung from the one above, and writes HLS."""
    chains, labels, above = [], [], "0:v:0"
    for number, rung in enumerate(plan.rungs):
        scaled = f"[{above}]{_scale(plan, rung, first=number == 0)}"
        if rung is plan.rungs[-1]:
            chains.append(f"{scaled}[v{number}]")
        else:
            chains.append(f"{scaled},split[v{number}][n{number}]")
        labels.append(f"[v{number}]")
        above = f"n{number}"
    command = [*_head(source), "-filter_complex", ";".join(chains)]
    for number, (label, rung) in enumerate(zip(labels, plan.rungs, strict=True)):
        command += ["-map", label, *_encoder(plan, rung, f":v:{number}")]
    streams = [f"v:{number}" + (",agroup:audio" if plan.audio else "") for number in range(len(labels))]
    if plan.audio:
        command += ["-map", "0:a:0", *_audio(plan)]
        streams.append("a:0,agroup:audio")
    return [*command, *_hls(plan), "-var_stream_map", " ".join(streams), "-master_pl_name", "master.m3u8", "%v.m3u8"]


def rung_commands(source: Path, plan: Plan) -> list[list[str]]:
    """Return one command per rung, each of which decodes the source again, and one for the audio."""
    commands = []
    for rung in plan.rungs:
        command = [*_head(source), "-map", "0:v:0", "-vf", _scale(plan, rung, first=True), *_encoder(plan, rung, ":v")]
        commands.append([*command, "-an", *_hls(plan), f"{rung.name}.m3u8"])
    if plan.audio:
        audio = [*_head(source), "-map", "0:a:0", *_audio(plan), *_hls(plan), "audio.m3u8"]
        commands.append(audio)
    return commands


def _head(source: Path) -> list[str]:
    return [ffmpeg_binary(), "-nostdin", "-hide_banner", "-loglevel", "error", "-y", "-threads", "1", "-i", str(source)]


def _scale(plan: Plan, rung: Rung, *, first: bool) -> str:
    rate = f"fps={plan.rate.numerator}/{plan.rate.denominator}," if first else ""
    return f"{rate}scale={rung.width_px}:{rung.height_px},setsar=1,format=yuv420p"


def _encoder(plan: Plan, rung: Rung, stream: str) -> list[str]:
    """Return the encoder's settings from the plan."""
    gop = str(plan.gop_frames)
    settings = {
        "-c": "libx264",
        "-preset": plan.preset,
        "-threads": str(plan.threads),
        "-crf": str(rung.crf),
        "-maxrate": str(rung.maxrate_bps),
        "-bufsize": str(2 * rung.maxrate_bps),
        "-g": gop,
        "-keyint_min": gop,
        "-sc_threshold": "0",
    }
    return [argument for name, value in settings.items() for argument in (name + stream, value)]


def _audio(plan: Plan) -> list[str]:
    assert plan.audio is not None  # noqa: S101  # both callers check first
    return ["-c:a", "aac", "-b:a", str(plan.audio.bit_rate_bps), "-ar", str(plan.audio.sample_rate_hz), "-ac", "2"]


def _hls(plan: Plan) -> list[str]:
    segment_s = str(float(plan.segment_frames / plan.rate))
    return ["-f", "hls", "-hls_time", segment_s, "-hls_segment_type", "fmp4", "-hls_playlist_type", "vod"]
