"""Uses the Python client that openapi-python-client has made: use.py URL PASSWORD, with the client in PYTHONPATH."""

import sys
from io import BytesIO
from pathlib import Path

from silo_client import AuthenticatedClient, Client
from silo_client.api.native import (
    v_1_add_registry,
    v_1_events,
    v_1_get_image,
    v_1_get_job,
    v_1_get_me,
    v_1_get_run_archive,
    v_1_get_run_output,
    v_1_get_version,
    v_1_list_images,
    v_1_list_jobs,
    v_1_list_scans,
    v_1_list_users,
    v_1_login,
    v_1_search,
    v_1_validate,
)
from silo_client.api.operations import openapi
from silo_client.models import Login, NewRegistry
from silo_client.types import File

url, password = sys.argv[1:]
anyone = Client(base_url=url, raise_on_unexpected_status=True)

assert v_1_get_version.sync(client=anyone).seed_version == "1.0.0"
token = v_1_login.sync(client=anyone, body=Login(username="admin", password=password)).token
admin = AuthenticatedClient(base_url=url, token=token, raise_on_unexpected_status=True)
assert v_1_get_me.sync(client=admin).username == "admin"
assert [user.username for user in v_1_list_users.sync(client=admin).items] == ["admin"]

found = v_1_search.sync(client=anyone, q="ndvi", facets=True, facet=["valid:true", "gpu:false"])
assert found.total >= 1 and found.items[0].valid is True, found
jobs = v_1_list_jobs.sync(client=anyone, limit=1)
rest = v_1_list_jobs.sync(client=anyone, limit=100, cursor=jobs.next_)
assert jobs.items[0].name < rest.items[0].name
job = v_1_get_job.sync(jobs.items[0].id, client=anyone)
assert job.versions and job.name == jobs.items[0].name
images = v_1_list_images.sync(client=anyone, job=job.name, valid=True)
assert v_1_get_image.sync(images.items[0].id, client=anyone).job_id == job.id
assert v_1_list_scans.sync(client=admin).items[0].counts.images >= 1

# A refusal is a problem document, with its reason.
refused = v_1_add_registry.sync_detailed(client=admin, body=NewRegistry(name="demo", url="http://127.0.0.1:1"))
assert refused.status_code in (400, 409) and refused.parsed.detail, refused
events = v_1_events.sync(client=anyone, after=0)
assert events is not None

# Files are sent and come as they are.
document = openapi.sync(client=anyone)
assert document == Path("openapi.yaml").read_bytes()
report = v_1_validate.sync(client=anyone, body=File(payload=BytesIO(b"no manifest")))
assert report.valid is False and report.problems, report
for refused in (
    v_1_get_run_output.sync_detailed("none", "OUT", client=admin),
    v_1_get_run_archive.sync_detailed("none", client=admin),
):
    assert refused.status_code == 404 and refused.parsed.detail, refused
print("the Python client works")
