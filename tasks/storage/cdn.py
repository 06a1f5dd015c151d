"""Signatures for a CloudFront distribution that requires them: cookies for a folder, and URLs of single objects.

CloudFront accepts a policy that names a resource with wildcards and an end, signed with the private key of
one of the distribution's key groups ("Using signed cookies" in Amazon CloudFront's Developer Guide).
"""

from __future__ import annotations

import time
from base64 import b64encode
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from botocore.signers import CloudFrontSigner
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from ..conf import bridge_settings

_KEPT_URLS = 1024
"""Signed URLs that a process keeps: the posters of 40 pages of the list."""


class SigningKey(NamedTuple):
    """The site's half of a key pair, and the base URL of what it opens."""

    base_url: str
    key_pair_id: str
    pem: str


def signing_key() -> SigningKey | None:
    """Return the key for `media_base_url`, or None if published objects need no signature."""
    conf = bridge_settings()
    key = SigningKey(conf.media_base_url.rstrip("/"), conf.cdn_key_pair_id, conf.cdn_private_key.replace("\\n", "\n"))
    return key if all(key) else None


def read_key(pem: str) -> RSAPrivateKey:
    """Return the RSA private key of a PEM text. Raises ValueError."""
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except TypeError as error:  # it is encrypted
        raise ValueError(str(error)) from error
    if not isinstance(key, RSAPrivateKey):
        message = "CloudFront's signatures here need an RSA key"
        raise ValueError(message)  # noqa: TRY004 - the text is wrong, not the caller
    return key


def signed_until() -> float:
    """Return when signatures made now expire, as a Unix time: after half of `cdn_cookie_ttl_s` at the earliest.

    It moves in steps, so that a browser finds the URL of an image again in its cache.
    """
    step_s = bridge_settings().cdn_cookie_ttl_s / 2
    return (time.time() // step_s + 2) * step_s


def signed_cookies(key: SigningKey, folder: str, *, until: float) -> dict[str, str]:
    """Return name and value of the cookies that open every object below a folder, such as `published/a/b`."""
    signer = _signer(key.key_pair_id, key.pem)
    policy = signer.build_policy(f"{key.base_url}/{folder}/*", datetime.fromtimestamp(until, UTC)).encode()
    return {
        "CloudFront-Policy": _encoded(policy),
        "CloudFront-Signature": _encoded(signer.rsa_signer(policy)),
        "CloudFront-Key-Pair-Id": key.key_pair_id,
    }


@lru_cache(maxsize=_KEPT_URLS)
def signed_url(key: SigningKey, url: str, *, until: float) -> str:
    """Return the URL of one object with a signature."""
    signed: str = _signer(key.key_pair_id, key.pem).generate_presigned_url(
        url, date_less_than=datetime.fromtimestamp(until, UTC)
    )
    return signed


@lru_cache(maxsize=1)
def _signer(key_pair_id: str, pem: str) -> CloudFrontSigner:
    key = read_key(pem)
    # CloudFront accepts no other hash for RSA.
    return CloudFrontSigner(key_pair_id, lambda text: key.sign(text, PKCS1v15(), hashes.SHA1()))  # noqa: S303 - see above


def _encoded(text: bytes) -> str:
    """Return CloudFront's variant of base 64, whose characters are valid in cookies."""
    return b64encode(text).decode().translate(str.maketrans("+=/", "-_~"))
