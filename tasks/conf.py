"""The settings of the bridge: every number, with its unit in its name and a reason for its default.

A site overrides any of them in Django's settings: `BATCHREEL = {"silence_threshold_s": 300}`. How the
numbers must relate to each other is checked by `manage.py check` (tasks/checks/bridge.py).
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.dispatch import receiver

from .lifecycle.scaling import HelperRule
from .transcode.speech.port import WHISPER, Engine


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeSettings:
    """All numbers and names of the bridge. Seconds end in `_s`, mebibytes in `_mib`."""

    # AWS Batch.
    job_queue: str = ""
    """Name or ARN of the job queue. VIDEO_BATCH_JOB_QUEUE, unless BATCHREEL sets it."""

    job_definition: str = ""
    """Name of the job definition; `name:revision` or an ARN pins one revision.
    VIDEO_BATCH_JOB_DEFINITION, unless BATCHREEL sets it."""

    job_name_prefix: str = "batchreel"
    """Batch jobs whose names start with this and a dash are ours, and the reap tick may terminate
    them. Two sites that share a job queue need two prefixes."""

    image: str = "batchreel-container:latest"
    """Container image of the job definition. Nothing builds an image with the default's name: set
    your own, by digest in production."""

    container_command: list[str] = field(default_factory=list)
    """The container program in an image of the site's own, without its two arguments, which Batch adds.
    If empty, `python -m` and the module `container` of this app."""

    container_settings_module: str = ""
    """Django's settings module in the containers. DJANGO_SETTINGS_MODULE of the process that registers the job
    definition, unless BATCHREEL sets it: containers run the site's own code. Another one is for an image that
    lacks it, such as Batchreel's own with `project.settings`."""

    job_role_arn: str = ""
    """IAM role of the program in the container, for the storage. If empty, there is none."""

    execution_role_arn: str = ""
    """IAM role that fetches the container's secrets and writes its log. If empty, there is none."""

    log_group: str = "/aws/batch/job"
    """CloudWatch log group of the containers. The default is also AWS Batch's."""

    secrets: dict[str, str] = field(default_factory=dict)
    """Environment variable -> ARN of the secret that Batch puts there (DATABASE_URL and the like)."""

    vcpus: int = 2
    """vCPUs of a container, which runs `vcpus / threads_per_unit` units at a time: two by default."""

    memory_mib: int = 3500
    """Memory of a container in MiB, 1750 for each vCPU. Machines of AWS's `c` families have 2048 for
    each and register less (up to 7.5 % for the kernel, 32 MiB for the ECS agent), so with more, some
    of their vCPUs would be paid for and idle. A unit of 1080p takes about 900."""

    memory_cap_mib: int = 16384
    """Most memory in MiB for attempts that follow an out-of-memory failure. By default it is
    reached with the fifth attempt, which is the last one."""

    out_of_memory_factor: float = 1.5
    """Factor on the memory of an attempt that follows an out-of-memory failure: by default 3500,
    5250, 7875, 11812 MiB and then `memory_cap_mib`."""

    attempt_timeout_s: int = 24 * 3600
    """Maximum number of seconds from its start after which AWS Batch terminates an attempt; Batch
    rejects less than 60. Heartbeats and stage limits find what hangs; this is for what they miss."""

    attempt_timeout_factor: float = 3
    """Factor on the estimated time of the work that is left, once a plan exists: hyperthreads are half
    as fast as the cores of the estimate, and some sources take more. An hour is added for the start."""

    max_encode_cpu_h: float = 250
    """CPU hours of encoding beyond which a source is rejected when it is planned. The longest video,
    12 h at 60 frames per second, takes about 110 with the standard ladder, and 8K adds 100."""

    # Media.
    profile: str = "standard"
    """Profile of new jobs: `standard`, `fast`, or one of `profiles`."""

    profiles: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The site's own profiles: name -> fields of `transcode.plan.profile.Profile` that differ from the
    profile that `extends` names, by default `standard`. A job stores its profile when it is requested, so
    containers need none."""

    threads_per_unit: int = 1
    """Encoder threads per unit; with one, a container runs a unit per vCPU. The plan fixes the
    number, because x264's bytes depend on it."""

    full_verify: bool = False
    """Whether everything is decoded once more before it is published. By default only the first and
    the last segment of each track are."""

    # Helpers: more containers for one job.
    helper_queue: str = ""
    """Name or ARN of the helpers' job queue. VIDEO_BATCH_HELPER_QUEUE, unless BATCHREEL sets it. If
    empty, helpers use `job_queue`."""

    on_demand_queue: str = ""
    """Name or ARN of a job queue whose machines EC2 does not take back. VIDEO_BATCH_ON_DEMAND_QUEUE,
    unless BATCHREEL sets it. If empty, every lead uses `job_queue`."""

    reclaims_before_on_demand: int = 2
    """A lead goes to `on_demand_queue` after this number of reclaimed leads in a row. 0: always."""

    capacity_wait_s: float = 600
    """A lead goes to `on_demand_queue` after AWS Batch has had no capacity for it for this time."""

    max_helpers: int = 31
    """Most helpers of one job, next to its lead. 0: each job has one container."""

    max_early_helpers: int = 31
    """Most helpers of one job before its plan. They start together with the lead, so that their
    machines do not take another two to four minutes. A source of the same size may be far less work
    (ProRes takes a tenth per byte). Starting four machines of 16 vCPUs for nothing costs about 4 cents.
    0: helpers start once the plan is made."""

    early_work_s_per_gb: float = 3000
    """CPU seconds that a gigabyte of a source is expected to take, until there is a plan. In 1080p a
    second takes 1.2 of slides and 3.6 of a film (docs/performance.md): 1900 and 4800 for slides at 5 and
    2 Mbit/s, 3600 for a film at 8 Mbit/s."""

    helper_target_s: float = 120
    """Seconds of work that each container should have. A machine takes two to four minutes to start, so
    with less, more of the price is for starting than for the work; with 300, an hour's lecture on
    machines that have to start is ready after 7.5 minutes instead of 5 (docs/adr/0039)."""

    helper_min_work_s: float = 600
    """Seconds of work for one slot below which a job gets no helpers."""

    # Events.
    event_queue_url: str = ""
    """URL of the SQS queue to which EventBridge sends AWS Batch's events. VIDEO_BATCH_EVENT_QUEUE_URL,
    unless BATCHREEL sets it. If empty, there are none, and attempts are only polled."""

    audit_s: float = 300
    """Seconds between two polls of an attempt with a fresh heartbeat while events arrive. The audit
    finds what an event should have reported and did not: 10,000 attempts take 20 calls per minute."""

    push_timeout_s: float = 60
    """Seconds without a sign of a listener, or for which an event waited in the queue, after which
    attempts are polled every `poll_running_s` again. Three long polls of 20 s."""

    event_time_limit_s: float = 5
    """Maximum number of seconds for one event. Most of it would be a wait for a row's lock; the queue
    delivers the event again. Ten of them, one read, must end within the queue's visibility timeout."""

    # Heartbeat and rescue.
    heartbeat_s: float = 20
    """Seconds between two heartbeats of a container. Each opens a database connection: at 20 s, two
    cores serve 3,400 containers (docs/performance.md)."""

    silence_threshold_s: float = 180
    """Seconds without a heartbeat after which a container counts as dead. At least four heartbeats;
    by default nine."""

    stage_limits_s: dict[str, float] = field(
        default_factory=lambda: {
            "claim": 300,
            "reserve": 300,
            "fetch": 600,
            "plan": 900,
            "encode": 600,
            "store": 600,
            "publish": 900,
        }
    )
    """Stage -> seconds without progress after which a container is replaced although it sends
    heartbeats. None should be less than `silence_threshold_s`; those of fetch, store and publish must
    also cover `storage_retry_s` and one call to the storage."""

    database_retry_s: float = 3600
    """Seconds for which a container retries a database call, which costs it time but not its work. The
    rescue tick spares silent containers for that long while a break keeps many of them from the database."""

    break_share: float = 0.33
    """Share of the running containers that must become silent within `silence_threshold_s`, while AWS
    Batch reports them as RUNNING, to be a break between containers and database. One machine
    that hangs by itself is none, however many containers it has."""

    break_min_containers: int = 3
    """Least number of such containers. One or two of a few may hang by chance."""

    # Ticks: the periods of the beat entries.
    submit_tick_s: float = 15
    """Seconds between two submit ticks: the longest wait of a due job whose wake-up is lost."""

    observe_tick_s: float = 15
    """Seconds between two observe ticks. Attempts whose status may change at any time are polled at
    each one, so four missing responses take 45 s."""

    rescue_tick_s: float = 30
    """Seconds between two rescue ticks: the longest delay beyond its threshold before a dead container is noticed."""

    reap_tick_s: float = 60
    """Seconds between two reap ticks: Batch jobs that nobody needs cost money until then."""

    purge_tick_s: float = 60
    """Seconds between two purge ticks, the least urgent ones."""

    metrics_tick_s: float = 60
    """Seconds between two metrics ticks, each of which writes one METRICS line: CloudWatch's resolution."""

    cost_tick_s: float = 60
    """Seconds between two cost ticks. A machine is described once, within that time after its first
    container started; AWS Batch keeps one for some minutes after its last."""

    tick_lease_s: float = 26
    """Seconds after which the next tick takes over a lease that was never given back. At least
    Celery's hard time limit (25 s in project/settings.py), so that two ticks never overlap."""

    # Submitting.
    max_in_batch: int = 0
    """Maximum number of live leads, which are in AWS Batch or about to be; helpers get what all of them
    leave of it. The other jobs wait in the rows, where uploads can overtake a backlog. 0 means twice what
    the queue can run: its compute environments' vCPUs divided by `vcpus`, times two; 100 until AWS has
    reported them."""

    submit_limit: int = 100
    """Maximum number of SubmitJob calls in one run, which is a submit tick or a wake-up. A backlog
    drains by up to 400 per minute."""

    submit_max_failures: int = 3
    """Number of rejected or ambiguous SubmitJob calls in one run after which the remaining attempts
    wait for the next run. A single one may be due to that attempt's request only."""

    submit_time_limit_s: float = 10
    """Seconds of a run after which no further SubmitJob starts. Together with the timeouts of one
    call (10 s) it is not more than Celery's soft time limit (20 s)."""

    submit_lookup_delay_s: float = 60
    """Seconds before each lookup of the Batch job of an ambiguous submission, because ListJobs lags
    behind SubmitJob."""

    rejected_submit_wait_s: float = 30
    """Seconds before the next SubmitJob of an attempt that AWS denied or rejected: two submit ticks."""

    throttled_submit_wait_s: float = 2
    """Seconds before the next SubmitJob if AWS throttled the call: its quota refills within a second."""

    # Observing.
    describe_limit_ids: int = 1000
    """Maximum number of Batch jobs that one observe tick polls: ten DescribeJobs calls."""

    observe_time_limit_s: float = 8
    """Seconds of an observe tick after which no further DescribeJobs call starts; each page of 100 Batch jobs
    is applied when it arrives. One more call takes 12 s at most: together not more than Celery's soft time
    limit (20 s)."""

    poll_running_s: float = 60
    """Seconds between two polls of an attempt with a fresh heartbeat, which already shows that it
    is alive. Longer if there are too many attempts for one tick."""

    start_timeout_s: float = 900
    """Seconds in STARTING, or in RUNNING without a claim, after which a Batch job is replaced.
    About one start in a hundred hangs."""

    runnable_alert_s: float = 1800
    """Seconds in RUNNABLE after which an event records AWS Batch's reason. The cause then needs an
    operator; nothing is terminated."""

    poll_fast_until_s: float = 300
    """Age in seconds up to which an attempt that has not started is polled at each tick; from then
    on every `poll_running_s`."""

    missing_responses_limit: int = 4
    """Number of consecutive DescribeJobs responses without the Batch job before it can count as gone.
    One response in a hundred may be empty, and a waiting job is polled for days."""

    missing_heartbeat_s: float = 80
    """Seconds without a heartbeat that, together with these missing responses, mean that a Batch job
    is gone. Four heartbeats: less than `silence_threshold_s`, where silence is the only sign."""

    missing_min_age_s: float = 120
    """Minimum age in seconds of an attempt before its Batch job can count as gone. With these three
    defaults a vanished Batch job is replaced within 180 s."""

    succeeded_grace_s: float = 60
    """Seconds from Batch's SUCCEEDED until an attempt without a result in its row fails. Also the
    time that a container has to exit after it recorded its result."""

    final_status_wait_s: float = 900
    """Seconds for which an undecided attempt waits for Batch's final status before it counts. With
    less than `missing_min_age_s` it would count before Batch can report that its host was lost."""

    rescue_api_time_limit_s: float = 5
    """Seconds of a rescue tick after which no further call to AWS starts: it only fences, and the reap tick
    terminates. Suspects are polled 100 at a time. One more call takes 12 s at most, and fencing all of
    `rescue_limit` about 3 s: together not more than Celery's soft time limit (20 s)."""

    rescue_limit: int = 500
    """Maximum number of attempts given up in one tick. The loss of a zone takes many containers at
    once, and fencing one takes a few milliseconds."""

    # Retry budget.
    max_attempts: int = 5
    """Number of counted attempts after which a job is DEAD. Lost machines are not counted."""

    max_consecutive_losses: int = 20
    """Number of consecutive lost machines, without a finished unit, after which a job is DEAD. More
    than `max_attempts`, because losing a machine is not the job's fault."""

    one_machine_verdicts: int = 3
    """Number of containers of one machine that must fail in the same way to read a file before the
    file is rejected, if no other machine works for the site. Two machines suffice in any case."""

    backoff_first_s: float = 10
    """Seconds before the second attempt; they double with each failure in a row, with jitter.
    Short, because most retries follow the loss of a machine."""

    backoff_cap_s: float = 600
    """Upper limit of that backoff in seconds, reached with the seventh failure in a row."""

    # Reaping.
    orphan_grace_s: float = 60
    """Minimum age in seconds, by the database's clock, of a Batch job without a live attempt before
    it is terminated. The same settling time as `submit_lookup_delay_s`."""

    reap_limit: int = 100
    """Maximum number of terminations in one reap tick, of Batch jobs with ended attempts and again of
    orphans. If each takes a call of its own, of about 50 ms, `reap_time_limit_s` is reached before."""

    reap_time_limit_s: float = 8
    """Seconds of a reap tick after which no further call to AWS starts. One more call takes 12 s at
    most: together not more than Celery's soft time limit (20 s)."""

    list_limit_pages: int = 10
    """Maximum number of ListJobs calls in one reap tick, which look for orphans; the next tick
    continues. AWS returns up to 1,000 Batch jobs per call, so a queue of 10,000 takes two ticks."""

    # Purging.
    purge_limit: int = 100
    """Maximum number of rows of each kind that one purge tick removes: deleted videos, superseded
    publications, ended jobs. 100,000 videos a month are less than three a minute."""

    purge_time_limit_s: float = 4
    """Seconds of a purge tick for each kind of row, after which the next tick continues. With events
    there are four kinds, so purging takes about 16 s of Celery's 20 s."""

    superseded_retention_s: float = 7 * 86400
    """Seconds for which a publication stays after a newer one replaced it, for viewers who are in the middle of it."""

    event_retention_s: float = 7 * 86400
    """Seconds for which events stay if their job has ended. They are most of what a video leaves in the
    database, about 70 KB for three hours, and operators read them within days."""

    # Events for receivers outside: signals, webhooks, mail.
    deliver_tick_s: float = 5
    """Seconds between two deliver ticks: the longest wait of an event until its first delivery starts."""

    deliver_time_limit_s: float = 7
    """Seconds of a deliver tick after which no further delivery starts. Signals and mail, which it sends
    after the webhooks, get half as long. One more request and one more mail take `webhook_timeout_s` each at
    most, and resolving a name 2 s: together not more than the soft time limit of ticks (20 s)."""

    delivery_retry_s: float = 86400
    """Seconds after its first try for which a failed delivery is tried again: a receiver that is down for
    a night loses nothing."""

    outbox_retention_s: float = 30 * 86400
    """Seconds for which events of the outbox and their deliveries stay, for "Send again" in the admin."""

    webhook_timeout_s: float = 3
    """Maximum number of seconds for one webhook, from its connection to the status of the response. A receiver
    should store the event, answer, and work on it afterwards."""

    webhook_connections: int = 16
    """Maximum number of webhooks that a deliver tick sends at the same time."""

    webhook_connections_per_endpoint: int = 4
    """The same for one endpoint, so that one that hangs leaves room for the others."""

    webhook_old_secret_s: float = 86400
    """Seconds for which webhooks are signed with the old secret too, after it was replaced."""

    webhook_disable_after_s: float = 3 * 86400
    """Seconds of failures without a success, at least 20 in a row, after which an endpoint is disabled."""

    webhook_allow_http: bool = False
    """Whether endpoints may have `http://` URLs. With DEBUG they may."""

    webhook_ports: list[int] = field(default_factory=lambda: [443])
    """Ports that endpoints may have; with `http://`, 80 too. With a wider list, people who may add endpoints
    reach other services."""

    webhook_private_hosts: list[str] = field(default_factory=list)
    """Host names, or addresses, whose endpoints may be in a private network or on this machine, at any port."""

    mail_kinds: list[str] = field(default_factory=list)
    """Events that are mailed to the owner of the video: `video.playable`, `video.failed`, or both. None by
    default, because only the site can say what its users want to read."""

    mail_base_url: str = ""
    """Base URL of the site for the link in these mails: https://videos.example.org. If empty, there is none."""

    mail_choice: bool = False
    """Whether owners may choose, for each of their videos, to get these mails."""

    # Captions and chapters that people add.
    edit_tick_s: float = 5
    """Seconds between two edit ticks: the longest wait until captions that were added are begun to be offered."""

    edition_limit: int = 100
    """Maximum number of editions that one edit tick makes."""

    edition_time_limit_s: float = 8
    """Seconds of an edit tick after which no further edition is begun. One takes about 40 calls to the storage,
    mostly 2 s: together not more than the soft time limit of ticks (20 s)."""

    captions_per_video: int = 32
    """Maximum number of caption tracks that people may add to a video, as of those of a file."""

    # Automatic captions, for profiles with `automatic_captions`.
    speech_weights: str = ""
    """Path, in the containers' image, of the weights of the engine for speech: a ggml file for whisper.cpp.
    SPEECH_WEIGHTS, unless BATCHREEL sets it."""

    speech_engine: str = ""
    """Dotted path of a site's own engine, a function as in `transcode/speech/port.py`. If empty, whisper.cpp."""

    speech_cpu_s_per_s: float = 1.0
    """CPU seconds that transcribing a second of audio takes. Helpers and time limits follow from it, and an engine
    that takes four times as long is stopped. Measure it with your weights; the default is an assumption."""

    # Costs.
    spot_vcpu_h_usd: float = 0.018
    """Price in US dollars of a vCPU for an hour on a Spot machine, if AWS does not report it: that of
    an m6a.large in us-east-1 in early 2025."""

    on_demand_vcpu_h_usd: float = 0.0432
    """The same on an On-Demand machine, on Fargate, and on a machine of unknown kind."""

    cost_limit: int = 1000
    """Maximum number of attempts whose cost one cost tick works out."""

    cost_time_limit_s: float = 8
    """Seconds of a cost tick after which no further call to AWS starts. One more call takes 12 s at
    most: together not more than Celery's soft time limit (20 s)."""

    cost_wait_s: float = 3600
    """Seconds after the end of an attempt for which its machine or its price may be unknown because
    AWS does not respond or denies the call. Then the setting above is its price, for good. Rows of
    deleted videos stay that long, and 15 minutes more."""

    # Uploads and viewers.
    upload_limit_bytes: int = 50 * 1024**3
    """Size in bytes of the largest file that is accepted: five times a lecture of 10 GB. A request body
    may have `body_limit_bytes` more, for the other fields of its form."""

    upload_retention_s: float = 7 * 86400
    """Seconds after which an incomplete direct upload is given up. Until then it can be resumed,
    and the bucket charges for its parts."""

    signed_url_ttl_s: float = 6 * 3600
    """Seconds for which the presigned URLs of a private bucket are valid. At most 7 days, and not
    longer than the credentials that sign them. A playlist is signed once for half of this time, so
    its URLs are valid for at least the other half. Players request new ones after they expire."""

    body_limit_bytes: int = 1024 * 1024
    """Size in bytes of the largest request body that everyone may send. Forms and the endpoints of
    uploads need some kilobytes."""

    large_bodies_per_process: int = 4
    """Maximum number of larger bodies that one web process receives at a time: half of the threads
    in project/web/server.py, so that slow uploads through the site leave the other half. One user can
    have half of them, at least one."""

    # Quotas of an owner; 0 is no limit. Users with the permission `batchreel.exceed_quotas` have none.
    owner_open_uploads: int = 20
    """Maximum number of incomplete direct uploads of one owner. A browser has one for each tab."""

    owner_open_upload_bytes: int = 200 * 1024**3
    """Maximum size in bytes of the files of these uploads together: four of the largest files."""

    owner_stored_bytes: int = 0
    """Maximum size in bytes of all files that one owner has uploaded and not deleted. Without a
    limit by default, because only the site can say what an owner may keep."""

    owner_active_jobs: int = 100
    """Maximum number of active jobs of one owner, above which new uploads and retries are refused:
    a course of a hundred lectures at once."""

    owner_retries_per_day: int = 20
    """Maximum number of retries by one owner within 24 hours. A retry may cost `max_attempts` more attempts."""

    scratch_reserve_mib: int = 2048
    """MiB that a container reserves on its machine's disk in addition to the source: the files of a
    few units, with every rung."""

    scratch_floor_mib: int = 2048
    """MiB that a reservation must leave free on the disk: 32 for each of 64 containers, which is what
    one may write before its reservation is adjusted (container/scratch/reservation.py)."""

    machine_hold_s: float = 300
    """Seconds for which a container keeps its place on a machine that may be at fault: after the end
    of its attempt, or before it if the disk has no room and none will be released. A machine that
    fails jobs at once has free places at once, and would draw the whole queue."""

    scratch_wait_s: float = 4 * 3600
    """Seconds for which a container waits for the room that others on the same machine hold: twice
    what a 3 h lecture takes."""

    storage_retry_s: float = 480
    """Seconds for which a container retries while the storage is unavailable, which costs it time
    but not its attempt. With one call (120 s) it equals the limits of fetch and store, so the
    container exits before it would be replaced."""

    fetch_connections: int = 8
    """Maximum number of connections over which a slot of a container fetches what its unit reads, or the
    container reads the objects back before publishing, because one rarely fills a machine's network.
    Beyond 10 of all slots, the size of botocore's pool, each request opens a new one."""

    fetch_range_mib: int = 16
    """MiB of each request. Amazon S3 advises 8 to 16 ("Performance design patterns")."""

    # The REST API.
    api_throttle_per_minute: int = 600
    """Maximum number of requests of one user within a minute, counted in Django's default cache; 0 is no
    limit. A script that polls fifty videos every five seconds one by one stays within it."""

    api_idempotency_retention_s: float = 86400
    """Seconds for which the response to a request with an Idempotency-Key is kept, for a client that repeats it."""

    # Watching.
    share_link_max_days: int = 366
    """Largest number of days for which a share link may be valid: a year of teaching."""

    share_links_per_video: int = 50
    """Maximum number of share links that one video has at a time."""

    keep_watch_positions: bool = False
    """Whether the site keeps how far each signed-in person has watched each video, so that they can continue in
    another browser. Off, because it records what people watch; the browser itself remembers it without this."""

    cdn_key_pair_id: str = ""
    """Id of the CloudFront public key, if that CDN requires signed cookies. CDN_KEY_PAIR_ID, unless BATCHREEL
    sets it."""

    cdn_private_key: str = field(default="", repr=False)
    """Its RSA private key in PEM format; line ends may be written as backslash and n. CDN_PRIVATE_KEY, unless
    BATCHREEL sets it."""

    cdn_cookie_ttl_s: float = 12 * 3600
    """Seconds for which the signed cookies and URLs of a CDN are valid: a whole day in front of a
    lecture. Players request new ones after they expire."""

    cdn_cookie_domain: str = ""
    """Domain of the signed cookies, `.example.org`, if the CDN has another host name than the site. If
    empty, browsers send them to the site's own host name only."""

    frame_ancestors: list[str] = field(default_factory=lambda: ["'self'"])
    """Sources of pages that may show the embed page in a frame, as in the CSP directive of the same
    name: `https://lms.example.org`. An empty list is `'none'`."""

    site_name: str = "Batchreel"
    """Name of the site in titles, in the header of the pages and for oEmbed."""

    flower_url: str = ""
    """Address of Flower, to which the operators' page in the admin links. If empty, there is no link."""

    base_template: str = "batchreel/base.html"
    """Template that the pages extend. It needs the blocks `title`, `head` and `content`."""

    # The site.
    media_base_url: str = ""
    """Base URL of published objects if browsers do not load them through this site: a CDN or public bucket
    with the same root as the storage. MEDIA_BASE_URL, unless BATCHREEL sets it."""

    metrics_token: str = field(default="", repr=False)
    """Bearer token for Prometheus. If empty, there are no metrics over HTTP. METRICS_TOKEN, unless BATCHREEL
    sets it."""

    worker_exit_limit_s: float = 20
    """Seconds after SIGTERM until a Celery worker of our queues exits, whatever hangs in it: before ECS or
    systemd would kill it (30 s). WORKER_EXIT_LIMIT_S, unless BATCHREEL sets it."""

    # Wake-ups.
    broker_timeout_s: float = 1.0
    """Maximum number of seconds that a request waits for the broker to accept a wake-up."""

    broker_backoff_s: float = 30
    """Seconds for which a process sends no wake-ups after one failed, so that a request that saves
    many videos waits for an unavailable broker only once."""

    def queue_of(self, *, is_helper: bool = False, on_demand: bool = False) -> str:
        """Return the job queue for a lead, or for a helper."""
        return (is_helper and self.helper_queue) or (on_demand and self.on_demand_queue) or self.job_queue

    @property
    def speech(self) -> Engine:
        """Which engine transcribes speech."""
        return Engine(self.speech_engine or WHISPER, self.speech_weights)

    @property
    def helper_rule(self) -> HelperRule:
        """How many helpers a job gets."""
        return HelperRule(
            target_s=self.helper_target_s,
            min_work_s=self.helper_min_work_s,
            max_helpers=self.max_helpers,
            max_early_helpers=self.max_early_helpers,
            slots=max(1, self.vcpus // self.threads_per_unit),
        )

    @property
    def queues(self) -> tuple[str, ...]:
        """The job queues that have Batch jobs of ours, each once."""
        return tuple(dict.fromkeys(filter(None, (self.job_queue, self.helper_queue, self.on_demand_queue))))


_OUTSIDE = {
    "job_queue": "VIDEO_BATCH_JOB_QUEUE",
    "helper_queue": "VIDEO_BATCH_HELPER_QUEUE",
    "on_demand_queue": "VIDEO_BATCH_ON_DEMAND_QUEUE",
    "event_queue_url": "VIDEO_BATCH_EVENT_QUEUE_URL",
    "job_definition": "VIDEO_BATCH_JOB_DEFINITION",
    "media_base_url": "MEDIA_BASE_URL",
    "speech_weights": "SPEECH_WEIGHTS",
    "cdn_key_pair_id": "CDN_KEY_PAIR_ID",
    "cdn_private_key": "CDN_PRIVATE_KEY",
    "metrics_token": "METRICS_TOKEN",
    "worker_exit_limit_s": "WORKER_EXIT_LIMIT_S",
}
"""Names that may also be settings of their own, as the environment variables of Batchreel's own site are."""


@cache
def bridge_settings() -> BridgeSettings:
    """Return the settings in force.

    Raises ImproperlyConfigured if BATCHREEL contains an unknown name.
    """
    overrides: dict[str, Any] = dict(getattr(settings, "BATCHREEL", {}))
    known = {each.name for each in fields(BridgeSettings)}
    if unknown := sorted(set(overrides) - known):
        message = f"BATCHREEL has no setting named {', '.join(unknown)}. Known: {', '.join(sorted(known))}."
        raise ImproperlyConfigured(message)
    overrides.setdefault("container_settings_module", os.environ.get("DJANGO_SETTINGS_MODULE", ""))
    for name, outside in _OUTSIDE.items():
        if hasattr(settings, outside):
            overrides.setdefault(name, getattr(settings, outside))
    return BridgeSettings(**overrides)


@receiver(setting_changed)
def _forget(*, setting: str, **_: object) -> None:
    if setting == "BATCHREEL" or setting in _OUTSIDE.values():
        bridge_settings.cache_clear()
