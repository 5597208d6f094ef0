"""Attack 4: the id of somebody else's page, stolen."""

from __future__ import annotations

import secrets

from streamlit.proto.BackMsg_pb2 import BackMsg

from tests.security.client import Client, Page
from tests.security.served import Served

MB = 2**20


def _file(content: bytes, name: str = "a.csv") -> tuple[bytes, str]:
    boundary = secrets.token_hex(8)
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        "Content-Type: text/csv\r\n\r\n"
    )
    return head.encode() + content + f"\r\n--{boundary}--\r\n".encode(), boundary


def _upload(
    client: Client, page: str, content: bytes = b"a,b\n1,2\n", token: str | None = None, **more: str
) -> int:
    body, boundary = _file(content)
    headers = {
        "Content-Type": f"multipart/form-data; boundary={boundary}",
        "Origin": client.address,
        "X-Xsrftoken": client.cookies.get("_streamlit_xsrf", "") if token is None else token,
    } | more
    return client.request("PUT", f"/_stcore/upload_file/{page}/f1", headers, body).status


def _opened(client: Client) -> Page:
    page = client.socket()
    page.run()
    assert page.session
    return page


def test_resuming_it_gives_a_new_page_as_oneself(small: Served) -> None:
    victim = _opened(small.as_administrator())
    thief = small.as_viewer().socket(resume=victim.session)
    thief.run()
    assert thief.session != victim.session
    assert f"actor={small.actor_of('viewer')}" in thief.texts()
    assert f"actor={small.actor_of('administrator')}" not in thief.texts()
    victim.run()
    assert victim.session not in thief.texts()
    victim.close()
    thief.close()


def test_nor_after_its_owner_left(small: Served) -> None:
    victim = _opened(small.as_administrator())
    victim.close()
    thief = small.as_viewer().socket(resume=victim.session)
    thief.run()
    assert thief.session != victim.session
    thief.close()


def test_ones_own_page_is_resumed(small: Served) -> None:
    client = small.as_administrator()
    first = _opened(client)
    first.close()
    again = client.socket(resume=first.session)
    again.run()
    assert again.session == first.session
    again.close()


def test_a_second_sign_in_of_the_same_person_resumes_nothing(small: Served) -> None:
    first = _opened(small.as_administrator())
    first.close()
    again = small.sign_in("administrator").socket(resume=first.session)
    again.run()
    assert again.session != first.session
    again.close()


def test_naming_it_in_a_message_gives_no_upload_address(small: Served) -> None:
    victim = _opened(small.as_administrator())
    thief = _opened(small.as_viewer())
    message = BackMsg()
    message.file_urls_request.request_id = "r"
    message.file_urls_request.file_names.append("a.csv")
    message.file_urls_request.session_id = victim.session
    thief.send(message)
    (answer,) = [
        said.file_urls_response
        for said in thief.until("file_urls_response")
        if said.WhichOneof("type") == "file_urls_response"
    ]
    for urls in answer.file_urls:
        assert victim.session not in urls.upload_url
    victim.close()
    thief.close()


def test_uploading_to_it_is_refused(small: Served) -> None:
    owner, other = small.as_administrator(), small.as_viewer()
    victim = _opened(owner)
    assert _upload(other, victim.session) == 403
    assert _upload(owner, victim.session) == 204
    assert _upload(owner, "made-up") == 403
    assert _upload(small.stranger(), victim.session) == 401
    deleted = other.request(
        "DELETE",
        f"/_stcore/upload_file/{victim.session}/f1",
        {"Origin": other.address, "X-Xsrftoken": other.cookies["_streamlit_xsrf"]},
    )
    assert deleted.status == 403
    victim.close()


def test_a_forged_upload_token_is_refused(small: Served) -> None:
    """Streamlit takes any token that equals the cookie beside it."""
    client = small.as_administrator()
    page = _opened(client)
    good = client.cookies["_streamlit_xsrf"]
    forged = "2|00000000|6162636465666768696a6b6c6d6e6f70|1700000000"
    for token in ("", "x", forged):
        assert _upload(client, page.session, token=token) == 403
    client.cookies["_streamlit_xsrf"] = forged
    assert _upload(client, page.session, token=forged) == 403
    client.cookies["_streamlit_xsrf"] = good
    assert _upload(client, page.session, Origin="http://evil.example") == 403
    assert _upload(client, page.session) == 204
    page.close()


def test_uploads_are_limited_whatever_they_declare(small: Served) -> None:
    """The server is set to 1 MB; the second upload declares nothing and streams."""
    client = small.as_administrator()
    page = _opened(client)
    assert _upload(client, page.session, b"x" * (MB // 2)) == 204
    assert _upload(client, page.session, b"x" * 3 * MB) == 413
    body, boundary = _file(b"x" * 3 * MB)
    streamed = client.request(
        "PUT",
        f"/_stcore/upload_file/{page.session}/f2",
        {
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "Transfer-Encoding": "chunked",
            "Origin": client.address,
            "X-Xsrftoken": client.cookies["_streamlit_xsrf"],
        },
        (body[at : at + 65536] for at in range(0, len(body), 65536)),
    )
    assert streamed.status == 413
    page.close()
