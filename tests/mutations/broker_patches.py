"""Mutations of the connection to Redis: its errors, TLS, and Sentinel."""

from __future__ import annotations

from tests.mutations.patch import Patch

_WAKEUP = "tests/database/services/test_wakeup.py"
_TLS = "tests/integration/test_redis_tls.py"
_CHECKS = "tests/unit/test_system_checks.py"
_HOST = "tests/integration/test_host_settings.py"
_DOCTOR = "tests/database/doctor/test_doctor_faults.py"

BROKER_PATCHES: tuple[Patch, ...] = (
    Patch(
        name="unusable broker settings raise from a wake-up",
        promise=7,
        file="tasks/wakeup.py",
        old="    except Exception as error:  # noqa: BLE001 - kombu raises many kinds for broker settings that it cannot use\n",
        new="    except LookupError as error:\n",
        tests=(f"{_WAKEUP}::test_saving_neither_fails_nor_waits_when_the_broker_settings_are_unusable",),
    ),
    Patch(
        name="a wake-up without a thread raises",
        promise=7,
        file="tasks/wakeup.py",
        old="    except RuntimeError as error:\n",
        new="    except LookupError as error:\n",
        tests=(f"{_WAKEUP}::test_saving_neither_fails_nor_waits_when_no_thread_can_be_started",),
    ),
    Patch(
        name="Redis's certificate is not checked by default",
        promise=7,
        file="tasks/broker/settings.py",
        old='    return {"ssl_cert_reqs": ssl.CERT_REQUIRED, ',
        new='    return {"ssl_cert_reqs": ssl.CERT_NONE, ',
        tests=(f"{_TLS}::test_no_program_sends_anything_when_the_certificate_is_not_trusted",),
        long=True,
    ),
    Patch(
        name="Celery ignores the TLS options",
        promise=7,
        file="project/settings.py",
        old="CELERY_BROKER_USE_SSL = broker.use_ssl\n",
        new="",
        tests=(f"{_TLS}::test_no_program_sends_anything_when_the_certificate_is_not_trusted",),
        long=True,
    ),
    Patch(
        name="the doctor ignores the TLS options",
        promise=7,
        file="tasks/broker/client.py",
        old="connection_for_write(connect_timeout=timeout_s)",
        new="connection_for_write(connect_timeout=timeout_s, ssl=False)",
        tests=(f"{_DOCTOR}::test_doctor_reports_a_fault_and_its_fix_when_it_is_injected[redis_has_another_authority]",),
    ),
    Patch(
        name="a tick is acknowledged before it runs if the site's tasks are",
        promise=1,
        file="tasks/tasks.py",
        old="    acks_late = True\n",
        new="",
        tests=(f"{_HOST}::test_message_is_delivered_again_when_a_worker_is_killed_that_acknowledges_early",),
        long=True,
    ),
    Patch(
        name="a wake-up asks the site's result backend",
        promise=7,
        file="tasks/wakeup.py",
        old="                ignore_result=True,\n",
        new="",
        tests=(f"{_WAKEUP}::test_wakeup_is_sent_when_the_result_backend_is_unavailable",),
    ),
    Patch(
        name="a worker of the site's own tasks is ended after SIGTERM",
        promise=7,
        file="tasks/schedule/worker_exit.py",
        old="    if set(instance.app.amqp.queues.consume_from) <= set(QUEUES):\n",
        new="    if True:\n",
        tests=("tests/unit/test_worker_exit.py",),
    ),
    Patch(
        name="uploads are in the default storage although the site names another one",
        promise=2,
        file="tasks/storage/aliases.py",
        old="        self._wrapped = _storage(SOURCES_ALIAS)\n",
        new="        self._wrapped = _storage(PUBLISHED_ALIAS)\n",
        tests=("tests/database/services/test_storages.py",),
    ),
    Patch(
        name="an unchecked certificate is accepted",
        promise=7,
        file="tasks/checks/broker.py",
        old="    if tls.cert_reqs == ssl.CERT_NONE:\n",
        new="    if False:\n",
        tests=(f"{_CHECKS}::test_system_check_reports_the_broker_when_celery_cannot_use_it_safely",),
    ),
    Patch(
        name="sentinels without a master's name are accepted",
        promise=7,
        file="tasks/checks/broker.py",
        old='    if connection.transport_cls == "sentinel" and not options.get("master_name"):\n',
        new="    if False:\n",
        tests=(f"{_CHECKS}::test_system_check_reports_the_broker_when_celery_cannot_use_it_safely",),
    ),
    Patch(
        name="only the first sentinel's URL has the password",
        promise=7,
        file="tasks/broker/settings.py",
        old="        urls = _same_for_all(urls)\n",
        new="",
        tests=("tests/unit/test_broker.py",),
    ),
    Patch(
        name="the sentinels' password is not used",
        promise=7,
        file="tasks/broker/settings.py",
        old='            **({"password": sentinel_password} if sentinel_password else {}),\n',
        new="",
        tests=("tests/unit/test_broker.py",),
    ),
)
