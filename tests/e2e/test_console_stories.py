"""Calls that fail, produced for real, and what the page of their room says of each in the browser."""

import pytest

import test_stories
from causeway import Causeway
from console_browser import Console, chromium

# What the page says, with the figures of a run left out: who is to blame, and for what.
STORIES = [
    (test_stories.test_an_expired_credential, "credential_expired", r"^bob's credential had expired \d+ s before the first attempt.*\.$"),
    (test_stories.test_a_wrong_password, "wrong_password", r"^bob was refused once: the password is wrong for the user name.*\.$"),
    (test_stories.test_a_quota, "quota", r"^bob was refused once: the quota credential_allocations_max was used up\.$"),
    (
        test_stories.test_a_forbidden_peer,
        "forbidden_peer",
        r"^alice asked for the peer 10\.1\.2\.3:5000, which the peer policy forbids \(.*10\.0\.0\.0/8.*\.$",
    ),
    (
        test_stories.test_udp_that_goes_unanswered_and_tls_that_works,
        "udp_unanswered",
        r"^alice reached the relay by TLS only after UDP went unanswered; data flowed both ways after \d.*\.$",
    ),
    (
        test_stories.test_one_side_that_never_arrives,
        "never_arrived",
        r"^bob never came to the relay: nothing arrived with that credential\.$",
    ),
]


@pytest.fixture(scope="module")
def relay():
    with Causeway(allow_peer=["198.51.100.0/24"], usage_flush_interval="1s") as running:
        yield running


@pytest.fixture(scope="module")
def console(relay):
    with chromium() as browser, Console(browser, relay, viewport={"width": 1280, "height": 900}) as opened:
        yield opened.enter()
        opened.assert_well_behaved()


@pytest.mark.parametrize("story, code, sentence", STORIES, ids=[code for _, code, _ in STORIES])
def test_the_page_of_a_room_says_in_one_sentence_why_its_call_went_so(relay, console, story, code, sentence):
    room = f"story-{code}"
    story(relay, room)
    page = console.open(f"/rooms/{room}")
    said = page.locator(f"[data-verdict={code}] strong")
    said.wait_for()
    assert page.locator("[data-verdict]").count() == 1
    page.wait_for_function(
        "([code, sentence]) => new RegExp(sentence).test(document.querySelector(`[data-verdict=${code}] strong`)?.innerText)",
        arg=[code, sentence],
    )
    told = test_stories.timeline(relay, room)["verdict"]["sentence"]
    assert said.inner_text() == told + ".", "the page says what the API says: it begins with a name, which stays as it is"
    tone = page.locator(f"[data-verdict={code}] .note").get_attribute("class")
    assert ("good" if code == "udp_unanswered" else "bad") in tone.split()
    # Both sides are named over their halves of the timeline.
    assert page.locator(".timeline-head strong").all_inner_texts() == ["alice", "bob"]
