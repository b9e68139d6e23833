"""Checks the simulator with the official clients. Nothing leaves the loopback interface.

Usage: check.py JSON, where JSON is the line that the cloudsim binary prints: endpoint, oss, access_key_id,
access_key_secret, and "temporary" with access_key_id, access_key_secret, security_token of keys of the same account.
The simulated time must be the real one. Prints a line for each check that holds; the first that does not ends it with a traceback.
"""

import datetime
import json
import os
import socket
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request
import uuid

for name in list(os.environ):
    if name.lower().endswith("_proxy"):
        del os.environ[name]

_connect = socket.socket.connect


def _loopback_only(self, address):
    if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1"):
        raise AssertionError(f"a connection to {address[0]} was tried")
    return _connect(self, address)


socket.socket.connect = _loopback_only

import oss2  # noqa: E402
import oss2.utils  # noqa: E402
from Tea.exceptions import TeaException  # noqa: E402
from alibabacloud_cdn20180510 import models  # noqa: E402
from alibabacloud_cdn20180510.client import Client  # noqa: E402
from alibabacloud_tea_openapi.models import Config  # noqa: E402
from aliyunsdkcdn.request.v20180510.DescribeUserUsageDetailDataExportTaskRequest import (  # noqa: E402
    DescribeUserUsageDetailDataExportTaskRequest,
)
from aliyunsdkcore.acs_exception.exceptions import ServerException  # noqa: E402
from aliyunsdkcore.client import AcsClient  # noqa: E402

CLOUD = json.loads(sys.argv[1])
KEY_ID, SECRET = CLOUD["access_key_id"], CLOUD["access_key_secret"]
HOST = urllib.parse.urlsplit(CLOUD["endpoint"]).netloc
OSS = "http://" + CLOUD["oss"]
NASTY = "用量 * ~ + / = & % ' ( ) ! \" : @ , ; ? # < > \\"
REGION = "cn-beijing"
# A week until a moment ago: what may be exported is bounded by the clock.
NOW = datetime.datetime.now(datetime.timezone.utc)
RANGE = [(NOW - datetime.timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ") for days in (7, 0)]


def holds(text):
    print("ok", text, flush=True)


def refused(work, *codes):
    """Runs it and says the error's code, which must be one of these."""
    try:
        work()
    except (TeaException, ServerException) as error:
        code = error.code if isinstance(error, TeaException) else error.error_code
    except oss2.exceptions.OssError as error:
        code = error.code
    except Exception as error:  # The newer generation raises its own kinds, all with a code.
        code = getattr(error, "code", None)
        if code is None:
            raise
    else:
        raise AssertionError(f"it was not refused with {codes}")
    assert code in codes, (code, codes)


def client(key_id=KEY_ID, secret=SECRET, token=None, algorithm=None):
    config = Config(
        access_key_id=key_id,
        access_key_secret=secret,
        security_token=token,
        endpoint=HOST,
        protocol="http",
        signature_algorithm=algorithm,
    )
    return Client(config)


FAMILIES = {
    "usage-detail": (
        "describe_user_usage_detail_data_export_task",
        models.DescribeUserUsageDetailDataExportTaskRequest,
        "create_usage_detail_data_export_task",
        models.CreateUsageDetailDataExportTaskRequest,
        "delete_usage_detail_data_export_task",
        models.DeleteUsageDetailDataExportTaskRequest,
    ),
    "usage": (
        "describe_user_usage_data_export_task",
        models.DescribeUserUsageDataExportTaskRequest,
        "create_user_usage_data_export_task",
        models.CreateUserUsageDataExportTaskRequest,
        "delete_user_usage_data_export_task",
        models.DeleteUserUsageDataExportTaskRequest,
    ),
}


def rows(cdn, family, size=2):
    """Every row, page by page."""
    describe, request = FAMILIES[family][0], FAMILIES[family][1]
    found, page = [], 1
    while True:
        body = getattr(cdn, describe)(request(page_size=str(size), page_number=str(page))).body
        data = body.usage_data_per_page
        assert data.page_number == page and data.page_size == size, data
        found += data.data.data_item
        if not data.data.data_item or len(found) >= data.total_count:
            assert len(found) == data.total_count, (len(found), data.total_count)
            return found
        page += 1


def check_listing(name, cdn):
    for family, (_, _, create, create_request, delete, delete_request) in FAMILIES.items():
        before = rows(cdn, family)
        assert before and len({row.task_id for row in before}) == len(before)
        assert all(row.status == "success" and row.download_url.startswith(OSS) for row in before)
        now = models.CreateUsageDetailDataExportTaskRequest is create_request
        extra = {"type": "flow", "domain_names": "a.example.com,b.example.com"} if now else {}
        start, end = RANGE
        request = create_request(start_time=start, end_time=end, task_name=NASTY, language="en-us", **extra)
        made = getattr(cdn, create)(request).body
        assert made.task_id and made.start_time == start and made.end_time == end
        (row,) = [row for row in rows(cdn, family) if row.task_id == made.task_id]
        assert (row.task_name, row.status, row.download_url) == (NASTY, "created", None), row
        assert row.task_config.start_time == start
        getattr(cdn, delete)(delete_request(task_id=made.task_id))
        assert len(rows(cdn, family)) == len(before)
        missing = lambda: getattr(cdn, delete)(delete_request(task_id=made.task_id))  # noqa: E731
        refused(missing, "InvalidTaskId.Malformed")
        holds(f"{name} lists, pages, creates and deletes: {family}")


def check_refusals(name, algorithm):
    describe = lambda cdn, size="10": cdn.describe_user_usage_data_export_task(  # noqa: E731
        models.DescribeUserUsageDataExportTaskRequest(page_size=size)
    )
    refused(lambda: describe(client(secret="wrong", algorithm=algorithm)), "SignatureDoesNotMatch")
    refused(lambda: describe(client(key_id="LTAInobody", algorithm=algorithm)), "InvalidAccessKeyId.NotFound")
    refused(lambda: describe(client(algorithm=algorithm), "51"), "InvalidPageSize.ValueNotSupported")
    holds(f"{name} is refused with a wrong secret, an unknown key and a page size too large")


def check_temporary(name, algorithm):
    keys = CLOUD["temporary"]
    make = lambda token: client(keys["access_key_id"], keys["access_key_secret"], token, algorithm)  # noqa: E731
    assert rows(make(keys["security_token"]), "usage")
    refused(lambda: rows(make("another+token=="), "usage"), "InvalidSecurityToken.Malformed")
    refused(lambda: rows(make(None), "usage"), "MissingSecurityToken")
    holds(f"{name} lists with temporary keys, and not with another token or none")


def check_old_core():
    for method in ("GET", "POST"):
        request = DescribeUserUsageDetailDataExportTaskRequest()
        request.set_endpoint(HOST)
        request.set_method(method)
        request.set_accept_format("json")
        request.set_PageSize("2")
        answer = json.loads(AcsClient(KEY_ID, SECRET, REGION).do_action_with_exception(request))
        assert answer["UsageDataPerPage"]["PageSize"] == 2, answer
        wrong = lambda: AcsClient(KEY_ID, "wrong", REGION).do_action_with_exception(request)  # noqa: B023, E731
        # This core compares the server's string to sign with its own, and so tells a wrong secret apart.
        refused(wrong, "SignatureDoesNotMatch", "InvalidAccessKeySecret")
    holds("the old core lists with V1, and sees the server's string to sign")


def auths():
    keys = CLOUD["temporary"]
    temporary = (keys["access_key_id"], keys["access_key_secret"], keys["security_token"])
    return {
        "V1": oss2.make_auth(KEY_ID, SECRET, oss2.AUTH_VERSION_1),
        "V4": oss2.make_auth(KEY_ID, SECRET, oss2.AUTH_VERSION_4),
        "V1 temporary": oss2.StsAuth(*temporary, auth_version=oss2.AUTH_VERSION_1),
        "V4 temporary": oss2.StsAuth(*temporary, auth_version=oss2.AUTH_VERSION_4),
    }


def fetch(url, method="GET", **headers):
    """Status, headers and body, whatever the status."""
    request = urllib.request.Request(url, method=method, headers={k.replace("_", "-"): v for k, v in headers.items()})
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as reply:
            return reply.status, reply.headers, reply.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def crc(data):
    digest = oss2.utils.Crc64()
    digest.update(data)
    return str(digest.crc)


def check_objects(name, auth):
    bucket = oss2.Bucket(auth, OSS, "outside", region=REGION)
    key = f"folder/{uuid.uuid4()} {NASTY}.bin"
    data = os.urandom(300_000)
    put = bucket.put_object(key, data, headers={"x-oss-meta-note": "a b"})
    assert str(put.crc) == crc(data)
    got = bucket.get_object(key)
    # Reading to the end compares the CRC.
    assert got.read() == data and str(got.server_crc) == crc(data) == str(got.client_crc)
    head = bucket.head_object(key)
    assert head.content_length == len(data) and head.etag == put.etag
    part = bucket.get_object(key, byte_range=(10, 19))
    assert (part.status, part.read(), part.content_range) == (206, data[10:20], f"bytes 10-19/{len(data)}")
    assert part.headers["x-oss-hash-crc64ecma"] == crc(data)
    beyond = bucket.get_object(key, byte_range=(len(data) - 5, len(data) + 5))
    assert (beyond.status, beyond.read()) == (200, data)
    standard = {"x-oss-range-behavior": "standard"}
    assert bucket.get_object(key, byte_range=(len(data) - 5, len(data) + 5), headers=standard).read() == data[-5:]
    refused(lambda: bucket.get_object(key, byte_range=(len(data), None), headers=standard), "InvalidRange")
    refused(lambda: bucket.get_object(key, headers={"If-Match": "other"}), "PreconditionFailed")
    try:
        bucket.get_object(key, headers={"If-None-Match": put.etag})
    except oss2.exceptions.NotModified:
        pass
    else:
        raise AssertionError("an unchanged object was sent again")
    refused(lambda: bucket.get_object("nothing"), "NoSuchKey")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "file")
        oss2.resumable_download(bucket, key, path, multiget_threshold=1, part_size=100_000, num_threads=3)
        with open(path, "rb") as file:
            assert file.read() == data
    holds(f"oss2 puts, gets, heads, resumes and checks CRC: {name}")
    return bucket, key, data


def check_links(name, bucket, key, data):
    url = bucket.sign_url("GET", key, 600, slash_safe=True)
    status, headers, body = fetch(url)
    assert (status, body) == (200, data) and headers["x-oss-hash-crc64ecma"] == crc(data)
    status, headers, body = fetch(url, Range="bytes=5-", If_Match=headers["ETag"], Accept_Encoding="identity")
    assert (status, body) == (206, data[5:]), status
    place = url.index("ignature=") + len("ignature=") + 3
    flipped = url[:place] + ("a" if url[place] != "a" else "b") + url[place + 1 :]
    tries = {
        "a flipped character": fetch(flipped),
        "a flipped character of the key": fetch(url.replace("folder", "foldes")),
        "an unsigned x-oss header": fetch(url, x_oss_range_behavior="standard"),
        "a content type": fetch(url, Content_Type="text/plain"),
    }
    for what, (status, _, body) in tries.items():
        assert status == 403 and b"<Code>SignatureDoesNotMatch</Code>" in body, (what, status, body)
    assert fetch(url, "HEAD")[0] == 403
    status, _, body = fetch(url, Authorization="OSS a:b")
    assert status == 400 and b"<Code>InvalidArgument</Code>" in body
    standard = {"x-oss-range-behavior": "standard"}
    signed = bucket.sign_url("GET", key, 600, headers=standard, slash_safe=True)
    status, _, body = fetch(signed, x_oss_range_behavior="standard", Range=f"bytes={len(data)}-")
    assert status == 416 and b"<Code>InvalidRange</Code>" in body
    expired = bucket.sign_url("GET", key, -5, slash_safe=True)
    if "Expires=" in expired:
        status, _, body = fetch(expired)
        assert status == 403 and b"Request has expired." in body and b"0002-00000069" in body, body
    holds(f"links of oss2 are taken and nothing else: {name}")


def check_additional_headers():
    bucket = oss2.Bucket(oss2.make_auth(KEY_ID, SECRET, oss2.AUTH_VERSION_4), OSS, "outside", region=REGION)
    bucket.put_object("additional", b"abc")
    headers = {"x-note": "1"}
    url = bucket.sign_url("GET", "additional", 600, headers=headers, additional_headers={"x-note"}, slash_safe=True)
    assert fetch(url, x_note="1")[0] == 200
    assert fetch(url, x_note="2")[0] == 403
    holds("an additional header of V4 is part of the signature")


def check_listed_links():
    found = 0
    for family in FAMILIES:
        for row in rows(client(), family):
            status, headers, body = fetch(row.download_url)
            assert status == 200 and headers["x-oss-hash-crc64ecma"] == crc(body), (status, headers)
            found += 1
    assert found
    holds("listed links lead to files whose CRC is right")


check_listing("the SDK (V3)", client())
check_listing("the SDK (V1)", client(algorithm="v2"))
check_refusals("the SDK (V3)", None)
check_refusals("the SDK (V1)", "v2")
check_temporary("the SDK (V3)", None)
check_temporary("the SDK (V1)", "v2")
check_old_core()
for auth_name, the_auth in auths().items():
    check_links(auth_name, *check_objects(auth_name, the_auth))
check_additional_headers()
check_listed_links()
holds("all")
