"""Lists every page with the official SDK and keeps nothing: list.py HOST KEY_ID SECRET. Prints how many tasks there were."""

import sys

from alibabacloud_cdn20180510 import models
from alibabacloud_cdn20180510.client import Client
from alibabacloud_tea_openapi.models import Config

host, key_id, secret = sys.argv[1:]
client = Client(Config(access_key_id=key_id, access_key_secret=secret, endpoint=host, protocol="http"))
tasks, number = 0, 0
while True:
    number += 1
    request = models.DescribeUserUsageDetailDataExportTaskRequest(page_size="50", page_number=str(number))
    page = client.describe_user_usage_detail_data_export_task(request).body.usage_data_per_page
    tasks += len(page.data.data_item)
    if tasks >= page.total_count or not page.data.data_item:
        break
print(tasks)
