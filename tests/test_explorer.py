"""The explorer's file, read as text; and opened in a real browser, where there is one."""

import base64
import json
import re
import shutil

import jax
import numpy as np
import pytest
from helpers import random_params

import jaxmlp
from jaxmlp import Model, show

RNG = np.random.default_rng(0)
X, LABELS = RNG.normal(size=(30, 2)), RNG.integers(0, 3, 30)
MODEL = Model("tanh", loss="softmax_cross_entropy")
SNAPSHOTS = [random_params((2, 5, 4, 3), seed) for seed in range(3)]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def write(path, **more):
    arguments = {"params": SNAPSHOTS[-1], "x": X, "y": LABELS, "model": MODEL, "snapshots": SNAPSHOTS[:-1], **more}
    show.explorer(path / "run.html", **arguments)
    return (path / "run.html").read_text()


def data_of(page):
    return json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.DOTALL)[1])


def floats(text, *shape):
    return np.frombuffer(base64.b64decode(text), "<f4").reshape(shape)


def test_the_numbers_are_the_tapes(tmp_path):
    run = data_of(write(tmp_path))
    assert run["sizes"] == [2, 5, 4, 3]
    assert len(run["snapshots"]) == 3
    for snapshot, params in zip(run["snapshots"], SNAPSHOTS, strict=True):
        tape = jaxmlp.backward(params, X, LABELS, MODEL)
        np.testing.assert_allclose(snapshot["loss"], tape.loss, rtol=1e-6)
        np.testing.assert_allclose(floats(snapshot["losses"], 30), tape.losses, rtol=1e-5)
        by_hand, by_jax = jaxmlp.gradients(tape), jax.grad(jaxmlp.loss)(params, X, LABELS, MODEL)
        for l, ((W, b), (dW, db), (aW, ab)) in enumerate(zip(params, by_hand, by_jax, strict=True)):
            pairs = [("W", W), ("b", b), ("dW", dW), ("db", db), ("auto_dW", aW), ("auto_db", ab)]
            pairs += [
                ("a", [*tape.inputs[1:], tape.outputs][l]),
                ("z", tape.preactivations[l]),
                ("delta", tape.deltas[l]),
            ]
            for name, want in pairs:
                np.testing.assert_allclose(floats(snapshot[name][l], *want.shape), want, rtol=1e-5, atol=1e-7)
        slope = floats(snapshot["slope"][0], 30, 5)
        np.testing.assert_allclose(slope, 1 - np.tanh(np.asarray(tape.preactivations[0])) ** 2, rtol=1e-4, atol=1e-6)


def test_the_file_needs_no_network_and_stays_below_5_mb(tmp_path):
    page = write(tmp_path)
    assert not re.search(r"(src|href)\s*=|url\(|@import|fetch\(|https?://(?!www\.w3\.org/2000/svg)", page)
    many = RNG.normal(size=(20_000, 64))
    params = random_params((64, 32, 10))
    write(tmp_path, params=params, x=many, y=RNG.integers(0, 10, 20_000), snapshots=[params] * 20)
    assert 3e6 < (tmp_path / "run.html").stat().st_size < 5e6
    assert data_of((tmp_path / "run.html").read_text())["batch"] == 20_000


def test_names_are_escaped(tmp_path):
    page = write(
        tmp_path, class_names=["</script><script>alert(1)</script>", "<b>b</b>", "c"], title="<i>t</i> & </title>"
    )
    assert page.count("</script>") == 2
    assert "<title>&lt;i&gt;t&lt;/i&gt; &amp; &lt;/title&gt;</title>" in page
    assert "</script><script>alert(1)</script>" in data_of(page)["labels"]


def test_bad_input_is_refused(tmp_path):
    with pytest.raises(ValueError, match="class_names must hold 3 names; got 2"):
        write(tmp_path, class_names=["a", "b"])
    with pytest.raises(ValueError, match="feature_names must hold 2 names; got 1"):
        write(tmp_path, feature_names=["a"])
    with pytest.raises(ValueError, match=r"snapshots must have the sizes of params, \(2, 5, 4, 3\); number 0 has"):
        write(tmp_path, snapshots=[random_params((2, 5, 3))])
    with pytest.raises(ValueError, match="x must hold at least one example; got none"):
        write(tmp_path, x=X[:0], y=LABELS[:0])
    wide = random_params((2, 1000, 1000, 3))
    with pytest.raises(ValueError, match=r"the page must stay below 5 MB; 1 snapshots of a network of sizes"):
        write(tmp_path, params=wide, snapshots=None)
    with pytest.raises(ValueError, match="y must"):
        write(tmp_path, y=LABELS[:-1])
    with pytest.raises(ValueError, match=r"labels must lie in 0 ... 2 for 3 outputs; got 1 ... 3"):
        write(tmp_path, y=LABELS + 1)
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: python -m pip install playwright"
    )
    if CHROMIUM is None:
        pytest.skip("no Chromium on the PATH: apt-get install chromium")
    with sync_api.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(browser, tmp_path):
    """A function that writes a run and opens it; at its end nothing may have been said on the console."""
    said = []

    def open_(width=1280, scheme="light", **more):
        write(tmp_path, **more)
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(f"file://{tmp_path / 'run.html'}")
        return page

    yield open_
    assert said == []


def test_stepping_goes_forward_and_back(opened):
    page = opened()
    seen = []
    while True:
        seen.append(page.inner_text("#step-label").split(": ")[1])
        if page.is_disabled("#next"):
            break
        page.click("#next")
    assert seen == [
        "the inputs", "forward through layer 1", "forward through layer 2", "forward through layer 3", "the loss",
        "errors back to layer 3", "errors back to layer 2", "errors back to layer 1", "the gradient of the weights",
    ]  # fmt: skip
    page.keyboard.press("Home")
    assert page.is_disabled("#back")
    assert page.locator("[data-kind=a]").count() == 2
    assert page.locator("[data-kind=delta]").count() == 0
    page.keyboard.press("End")
    assert page.locator("[data-kind=a]").count() == 2 + 5 + 4 + 3
    assert page.locator("[data-kind=delta]").count() == 5 + 4 + 3
    page.keyboard.press("ArrowLeft")
    assert "errors back to layer 1" in page.inner_text("#step-label")


def test_the_numbers_on_the_page_are_the_tapes(opened):
    page = opened()
    page.locator("[data-example='7']").dispatch_event("click")
    tape = jaxmlp.backward(SNAPSHOTS[-1], X, LABELS, MODEL)
    loss = float(page.inner_text("#example").split("loss ")[1])
    np.testing.assert_allclose(loss, tape.losses[7], rtol=1e-3)
    page.keyboard.press("End")
    shown = [float(text) for text in page.locator("[data-kind=delta]").all_text_contents()]
    want = np.concatenate([np.asarray(delta)[7] for delta in tape.deltas])
    np.testing.assert_allclose(shown, want, rtol=6e-3, atol=1e-12)
    page.locator("[data-layer='2'][data-neuron='3'] circle").first.click()
    cells = [cell.split("\t") for cell in page.inner_text("#weights tbody").split("\n")]
    (W, b), (dW, db) = SNAPSHOTS[-1][1], jaxmlp.gradients(tape)[1]
    a, delta = np.asarray(tape.inputs[1])[7], np.asarray(tape.deltas[1])[7, 3]
    want = np.stack([W[:, 3], a * delta, dW[:, 3], dW[:, 3]], axis=1)  # the last by autodiff
    np.testing.assert_allclose([[float(v) for v in row[1:]] for row in cells[:-1]], want, rtol=6e-3)
    np.testing.assert_allclose([float(v) for v in cells[-1][1:]], [b[3], delta, db[3], db[3]], rtol=6e-3)
    differences = [float(row.split("\t")[3]) for row in page.inner_text("#check tbody").split("\n")]
    assert len(differences) == 6
    assert max(differences) < 1e-6


def test_examples_are_picked_by_keys(opened):
    page = opened()
    page.locator("#pick [data-example='0']").press("ArrowUp")
    assert page.inner_text("#example").startswith("example 0,")
    for _ in range(3):
        page.keyboard.press("ArrowDown")  # the focus goes along
    assert page.inner_text("#example").startswith("example 3,")
    assert page.evaluate("document.activeElement.dataset.example") == "3"
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#step-label").startswith("step 1 ")


def test_the_slider_goes_through_training(opened):
    page = opened()
    for i, params in enumerate(SNAPSHOTS):
        page.locator("#snapshot").fill(str(i))
        assert f"snapshot {i + 1} of 3" in page.inner_text("#snapshot-label")
        loss = float(page.inner_text("#snapshot-label").split("loss ")[1])
        np.testing.assert_allclose(loss, jaxmlp.loss(params, X, LABELS, MODEL), rtol=1e-3)


def test_snapshots_of_fit_are_named_by_their_epochs(opened, tmp_path):
    """In the order of training, whatever the order of the dictionary."""
    page = opened(snapshots={12: SNAPSHOTS[1], 0: SNAPSHOTS[0], 1: SNAPSHOTS[2]})
    names = []
    for i in range(4):
        page.locator("#snapshot").fill(str(i))
        names.append(page.inner_text("#snapshot-label").split(":")[0])
    assert names == ["before training", "after 1 epoch", "after 12 epochs", "the network as it was given"]
    losses = [snapshot["loss"] for snapshot in data_of((tmp_path / "run.html").read_text())["snapshots"]]
    want = [jaxmlp.loss(SNAPSHOTS[i], X, LABELS, MODEL) for i in (0, 2, 1, 2)]
    np.testing.assert_allclose(losses, want, rtol=1e-6)


PIXELS = "c => Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data)"


def test_the_first_layer_of_images_is_drawn_as_images(opened):
    params, x = random_params((16, 5, 2)), RNG.normal(size=(6, 16))
    page = opened(params=params, snapshots=None, x=x, y=np.arange(6) % 2)
    page.locator("[data-layer='1'][data-neuron='2'] circle").first.click()
    assert page.locator("figcaption").all_text_contents() == ["the example", "W", "this example's dW", "batch's dW"]
    dW = jaxmlp.gradients(jaxmlp.backward(params, x, np.arange(6) % 2, MODEL))[0][0]
    for place, want in ((0, x[0]), (1, params[0][0][:, 2]), (3, dW[:, 2])):
        red, _, blue, alpha = np.reshape(page.locator("figure canvas").nth(place).evaluate(PIXELS), (16, 4)).T
        np.testing.assert_allclose(alpha / 255, np.abs(want) / np.max(np.abs(want)), atol=0.01)
        some = alpha > 20  # a browser keeps no colour where there is next to none
        np.testing.assert_array_equal((blue > red)[some], np.asarray(want > 0)[some])
    page.locator("[data-layer='2'][data-neuron='0'] circle").first.click()
    assert page.locator("figure").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_pictures_and_tables_to_pick_from_fit_the_window(opened, width, scheme):
    params = random_params((16, 20, 1))
    x, y = RNG.normal(size=(12, 16)), RNG.integers(0, 2, (12, 1))
    page = opened(width, scheme, params=params, snapshots=None, x=x, y=y, model=Model(loss="sigmoid_cross_entropy"))
    assert page.locator("#pick canvas").count() == 12
    page.locator("[data-example='4']").click()
    assert page.locator("[aria-pressed=true]").get_attribute("data-example") == "4"
    assert "(14 of 16)" in page.text_content("#network")
    assert page.evaluate("document.documentElement.scrollWidth") <= width

    page = opened(width, scheme, params=random_params((3, 4, 2)), snapshots=None, x=x[:, :3], y=x[:, :2], model=Model(),
                  feature_names=["<b>one</b>", "two", "three"])  # fmt: skip
    page.locator("[data-example='5']").press("Enter")
    assert page.inner_text("#example").startswith("example 5, target ")
    assert "<b>one</b>" in page.inner_text("#pick")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
