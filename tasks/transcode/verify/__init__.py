"""Step 5: how a result is verified before anyone sees it.

A job's units may be encoded by many containers on many machines, are stored object by object, and
are offered as one video. Nothing may be offered unless it is complete, unaltered and decodable. The
checks need only the plan, the units' records, the manifest and the stored objects, never the
source.

1. Consistency, before playlists are written (`package/consistency.py`, called by
   `build_publication`). Every unit of the plan has an output. Every video unit has one file for
   each rung, in the plan's timescale, whose segments and key frames cover exactly the unit's
   frames, and the poster and sprite that belong to it. The audio has the planned number of AAC
   frames. All files of a rung have the same init segment, because players load it only once; units
   that differ from the majority are the bad ones.
2. Seams, in the same function. Two consecutive units both decode the frames around their boundary:
   the warm-up frames of the later unit and the look-ahead frames of the earlier one. ffmpeg prints
   the place and a checksum (Adler-32) of each of them that shows something new, scaled for the
   smallest rung and before encoding, and the lists of both units must be equal. They differ if
   seeking landed on a wrong frame, e.g. if the source flags key frames wrongly.
3. Playlists (`verify_playlists`). Each stored playlist, DASH manifest, caption file, list of
   chapters and thumbnail map has the size and SHA-256 of the manifest.
4. Objects (`verify_publication`, called by `verify_media`). According to the manifest each track
   begins at tick 0, each unit begins where the previous one ends, and the track has the video's
   length, audio to within one AAC frame. Then every object is read back as a whole: size, SHA-256,
   and, except for stills, its boxes, the checksum of its init segment, and segments made of whole
   fragments that follow each other in bytes and in time. For video, every fragment begins on the GOP
   grid that all rungs share and lasts one GOP at most, its first frame is its only key frame, and the
   manifest lists that key frame with its byte range.
5. Decoding (`verify_media`). ffmpeg decodes the first and the last segment of each track, if all
   objects are good, and treats any error as fatal; with `full_verify` it decodes all segments of each
   good object. What it decodes is kept on the disk while 4 reads it, so that each object is read once.

In a container the publish unit does all this, once all media units are DONE.
tasks/container/units/publish.py builds the playlists (1, 2), stores them, and calls verification.py
next to it, which reads back from the storage (3 to 5). Only then does one transaction make the job
SUCCEEDED and point the video at it. The playlists are stored first, but under keys that no row
refers to until then.

Bad units of 1, 2, 4 and 5 are redone, and only they (`redo_units` in
tasks/services/container_api/publish.py). Each becomes PENDING, its next lease has a higher fence
and hence other object keys, and a redone video unit reads the source from the beginning instead of
seeking. The publish unit is claimable again when the redone units are DONE, and then verifies
everything again. A unit that is still bad after 3 redos fails the attempt with VERIFY_FAILED. A bad
playlist fails it immediately with PLAYLIST_DAMAGED, because no unit is at fault: the next attempt
writes new playlists. Both end the attempt as TRANSCODE_FAILED, which counts. An unavailable storage is
no fault of a unit either: its error fails the attempt for its own reason.

On a laptop `finish_run` in cli/local_run.py runs 1, 2, 4 and 5 on the output folder and writes the
playlists after that; it does not read them back. After a seam mismatch it redoes the units once,
from the beginning of the source. Any other inconsistency, and units that fail 4 or 5, fail the run;
the records of the bad units are deleted, so that the next run redoes them.

What this does not prove: that the frames show what the source shows (the seams compare units only
with each other, and only what goes into the encoder), that frames between the first and last
segment decode (without `full_verify`), that stills decode, that audio and video are in sync, that
players accept the result (the tests in tests/media and tests/browser check these), that the stored
manifest.json is intact, or that objects stay intact after they were published.

"""

from __future__ import annotations
