"""Reports: the same content in HTML and PDF, nothing loaded from elsewhere, nothing parsed, nothing half written."""

import html.parser
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from spikejoule.energy.machines.accelerator import load_accelerator
from spikejoule.energy.pricing.estimate import estimate
from spikejoule.reports.compare import compare
from spikejoule.reports.comparison import full_tables
from spikejoule.reports.page import plotting, render
from spikejoule.reports.page.blocks import Table
from spikejoule.reports.page.write import _move_into_place, all_tables, write_report
from spikejoule.reports.sections.contents import SECTIONS, build_report
from spikejoule.sim.counting.operations import count
from spikejoule.sim.errors import InvalidInput
from spikejoule.sim.network.workload import AveragePool, Conv2d, Linear, Workload
from spikejoule.sim.readable_numbers import ENERGY, column, number, unit_for
from spikejoule.sim.trace.spike_trace import SpikeTrace
from spikejoule.sim.trace.trace_writer import TraceWriter

NOON = datetime(2030, 1, 2, 12, tzinfo=UTC)
CHIP, SOP = load_accelerator("event-driven-45nm"), load_accelerator("sop-45nm")
SCRIPT, PANIC = "<script>alert('x')</script> & _co", "#panic() $x^2$ *b* @y \\ [z] // `c` _d"


def network(weight_kind, gate):
    pool = AveragePool(kernel_size=(2, 2))
    conv = Conv2d(name="conv", in_shape=(1, 8, 8), out_channels=4, kernel_size=3, padding=1, pool=pool, gate=gate)
    hidden = Linear(
        name="hidden", in_shape=(4, 4, 4), out_features=16, source="conv", weight_kind=weight_kind, gate=gate
    )
    out = Linear(name="out", in_shape=(16,), out_features=4, source="hidden", neuron="readout")
    return Workload(name="net", input_shape=(1, 8, 8), layers=(conv, hidden, out))


def counted(folder, name, index, seed, weight_kind="binary", gate=None):
    rng, net = np.random.default_rng(10 * index + seed), network(weight_kind, gate)
    spikes = {key: rng.random((4, 12, *shape)) < 0.1 + 0.03 * index for key, (shape, _) in net.signals.items()}
    labels = rng.integers(4, size=12)
    origin = {"seed": seed, "run": f"r{index}{seed}", "variant": name, "dataset": "digits-events", "split": "test"}
    with TraceWriter(
        folder / f"{index}-{seed}.zarr", net, 4, provenance=origin | {"versions": {"torch": "9.9"}}
    ) as writer:
        writer.append(spikes, labels=labels, predictions=np.where(rng.random(12) < 0.8, labels, 0))
    return count(SpikeTrace.open(folder / f"{index}-{seed}.zarr"))


def log(seed):
    rng = np.random.default_rng(seed)
    rows = [
        (epoch, layer, quantity, float(rng.random()))
        for epoch in range(4)
        for layer in ("conv", "hidden")
        for quantity in ("sign_flips", "gradient_mean", "gradient_variance")
    ]
    return pd.DataFrame(rows, columns=["epoch", "layer", "quantity", "value"])


@pytest.fixture(scope="module")
def operations(tmp_path_factory):
    folder = tmp_path_factory.mktemp("traces")
    made = {SCRIPT: ("float", None), PANIC: ("binary", None), "BSNN + AGMM": ("binary", "live")}
    return {
        name: [counted(folder, name, index, seed, kind, gate) for seed in range(2)]
        for index, (name, (kind, gate)) in enumerate(made.items())
    }


def priced(operations, machine):
    return {name: [estimate(each, machine) for each in group] for name, group in operations.items()}


@pytest.fixture(scope="module")
def comparison(operations):
    logs = {PANIC: [log(0), log(1)], "BSNN + AGMM": [log(2), log(3)]}
    return compare(priced(operations, CHIP), SCRIPT, [priced(operations, SOP)], logs=logs)


@pytest.fixture(scope="module")
def small(operations):
    return compare({"only": [estimate(operations[SCRIPT][0], SOP)]}, "only")


@pytest.fixture(scope="module")
def report(comparison):
    return build_report(comparison)


@pytest.fixture(scope="module")
def page(report):
    return render.html(report, NOON)


@pytest.fixture(scope="module")
def document(report):
    return render.pdf(report, NOON)


class Reader(html.parser.HTMLParser):
    """Collects the tags, attributes and text of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.text = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]

    def handle_data(self, data):
        self.text += data


def test_names_stay_text_in_html(page):
    read = Reader(page)
    assert "script" not in read.tags
    assert SCRIPT in read.text
    assert PANIC in read.text


def test_the_page_loads_nothing(page):
    read = Reader(page)
    links = [
        value for _, name, value in read.attributes if name in ("src", "href", "xlink:href", "srcset", "data", "action")
    ]
    assert all(link.startswith("#") for link in links)
    assert not {"img", "link", "iframe", "object", "embed", "base", "form"} & set(read.tags)
    assert not re.search(r"@import|url\((?!#)", page)


def test_ids_in_the_page_are_unique_and_every_reference_has_one(page):
    ids = [value for _, name, value in Reader(page).attributes if name == "id"]
    assert len(ids) == len(set(ids))
    used = set(re.findall(r'href="#([^"]+)"', page)) | set(re.findall(r"url\(#([^)]+)\)", page))
    assert used <= set(ids)


def test_every_section_stands_in_both_forms(page, document):
    assert document.startswith(b"%PDF-")
    for title in SECTIONS:
        assert f"<h2>{title}</h2>" in page
        assert f"/Title({title})".encode() in document  # the outline that a viewer shows


def test_the_pdf_holds_names_as_text(document, tmp_path):
    pdftotext = shutil.which("pdftotext")
    if pdftotext is None:
        pytest.skip("pdftotext (poppler) is not installed")
    (tmp_path / "report.pdf").write_bytes(document)
    text = subprocess.run(
        [pdftotext, "-raw", tmp_path / "report.pdf", "-"], capture_output=True, check=True
    ).stdout.decode()
    words = " ".join(text.split())
    assert "<script>alert('x')</script> & _co" in words.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    assert "#panic() $x^2$ *b* @y \\ [z] // `c` _d" in words
    assert all(title in words for title in SECTIONS)


def test_the_same_comparison_gives_the_same_bytes(comparison, page, document):
    again = build_report(comparison)
    assert render.html(again, NOON) == page
    assert render.pdf(again, NOON) == document


def test_only_the_time_stamp_differs(report, page):
    later = render.html(report, datetime(2031, 5, 6, 7, 8, tzinfo=UTC))
    assert later.replace("2031-05-06 07:08 UTC", "2030-01-02 12:00 UTC") == page


def test_a_users_matplotlib_settings_do_not_change_a_figure(report, page):
    import matplotlib

    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red"}):
        assert render.html(report, NOON) == page
        assert matplotlib.rcParams["font.size"] == 30


def test_the_data_is_called_simulated_and_the_energy_not_validated(page):
    text = Reader(page).text
    assert "Simulated events of real digits" in text
    assert "not validated against silicon" in text
    assert "Training energy is out of scope" in text


def test_every_price_used_is_printed_with_its_source(report, comparison):
    printed = {row[0] for table in shown(report, "prices") for row in table.rows}
    machines = [result.accelerator for group in comparison.estimates.values() for result in group]
    used = {
        machines[0].price_key(component, action)
        for group in comparison.estimates.values()
        for result in group
        for component, action in result.table[["component", "action"]].itertuples(index=False)
    }
    assert used <= printed
    assert all(row[-1] for table in shown(report, "prices") for row in table.rows)


def test_what_is_left_out_is_printed(report, comparison):
    printed = {row[0] for table in shown(report, "not-priced") for row in table.rows}
    assert set(comparison.estimates[SCRIPT][0].actions.omitted) <= printed


def test_long_cells_wrap_wherever_they_stand(report):
    columns = shown(report, "not-priced")[0].columns
    assert [column.wide for column in columns if column.label in ("Why", "Accelerators")] == [True, True]


def test_fields_that_a_machine_leaves_out_are_not_shown(report):
    assert not any("None" in cell for table in shown(report, "accelerators") for row in table.rows for cell in row)


def shown(report, name):
    found = [block for section in report.sections for block in section.blocks if isinstance(block, Table)]
    return [table for table in found if table.name == name]


def test_the_gates_cost_is_what_the_gate_alone_adds(comparison):
    cost = full_tables.gate_cost(comparison).set_index("part")
    live = comparison.estimates["BSNN + AGMM"]
    assert cost["live_pj"].sum() == pytest.approx(np.mean([result.energy_pj for result in live]))
    own = [result.by("component")[["gate", "scale"]].sum() for result in live]
    assert cost.loc["gate and scale", "difference_pj"] == pytest.approx(np.mean(own))
    words = {"conv": 64, "hidden": 16}  # potentials per layer, two 32-bit ones to a 64-bit word: per step two passes
    passes = sum(3 * neurons / 2 for neurons in words.values()) * 4  # of reads and one of writes for the current array
    assert cost.loc["state SRAM", "difference_pj"] == pytest.approx(passes * CHIP.price("state_sram", "read").value)
    assert cost.loc["synaptic adds", "difference_pj"] == 0


def test_energies_by_part_and_layer_add_up(comparison):
    totals = [np.mean([result.energy_pj for result in group]) for group in comparison.estimates.values()]
    assert full_tables.energy_by_part(comparison.estimates).sum(axis=1).to_numpy() == pytest.approx(totals)
    assert full_tables.energy_by_layer(comparison.estimates).sum().to_numpy() == pytest.approx(totals)


def test_a_sparse_comparison_still_has_every_section(small):
    page = render.html(build_report(small), NOON)
    assert all(f"<h2>{title}</h2>" in page for title in SECTIONS)
    assert "No training logs were given" in page


# Writing -------------------------------------------------------------------------------------------------------------
def test_tables_are_written_in_full_precision(comparison, tmp_path):
    paths = write_report(build_report(comparison), tmp_path / "sub" / "digits", written=NOON)
    assert [path.name for path in paths] == ["digits.html", "digits.pdf"]
    summary = pd.read_parquet(tmp_path / "sub" / "digits-tables" / "summary.parquet")
    pd.testing.assert_frame_equal(summary, comparison.summary())
    written = {path.stem for path in (tmp_path / "sub" / "digits-tables").iterdir()}
    assert written == set(all_tables(build_report(comparison)))
    assert sorted(path.name for path in (tmp_path / "sub").iterdir()) == ["digits-tables", "digits.html", "digits.pdf"]


def test_a_second_report_replaces_the_first(small, tmp_path):
    write_report(build_report(small), tmp_path / "digits", ["html"])
    (tmp_path / "digits-tables" / "stale.csv").write_text("a\n")
    write_report(build_report(small), tmp_path / "digits.html", ["html"], written=NOON)
    assert "2030-01-02" in (tmp_path / "digits.html").read_text(encoding="utf-8")
    assert not (tmp_path / "digits-tables" / "stale.csv").exists()


def test_a_folder_with_other_files_is_not_replaced(small, tmp_path):
    (tmp_path / "digits-tables").mkdir()
    (tmp_path / "digits-tables" / "thesis.tex").write_text("x")
    with pytest.raises(InvalidInput, match="thesis.tex"):
        write_report(build_report(small), tmp_path / "digits", ["html"])
    assert [path.name for path in tmp_path.iterdir()] == ["digits-tables"]


def test_a_path_that_cannot_be_a_folder_is_one_clear_line(small, tmp_path):
    (tmp_path / "file").write_text("kept")
    with pytest.raises(InvalidInput, match="cannot be written") as caught:
        write_report(build_report(small), tmp_path / "file" / "digits", ["html"])
    assert "\n" not in str(caught.value)


def test_a_full_disk_leaves_the_earlier_report_whole(small, tmp_path):
    resource = pytest.importorskip("resource", reason="file size limits are POSIX only")
    write_report(build_report(small), tmp_path / "digits", ["html"], written=NOON)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(InvalidInput, match="cannot be written"):
            write_report(build_report(small), tmp_path / "digits", ["html"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_failed_move_puts_everything_back(tmp_path):
    (tmp_path / "old").write_text("earlier")
    (tmp_path / "new").write_text("later")
    moves = [(tmp_path / "new", tmp_path / "old"), (tmp_path / "missing", tmp_path / "other")]
    with pytest.raises(FileNotFoundError):
        _move_into_place(moves, tmp_path / "kept")
    assert (tmp_path / "old").read_text() == "earlier"


def test_a_folder_in_the_place_of_a_file_is_not_replaced(small, tmp_path):
    (tmp_path / "digits.html").mkdir()
    with pytest.raises(InvalidInput, match="digits.html is in the way"):
        write_report(build_report(small), tmp_path / "digits", ["html"])


@pytest.mark.parametrize("formats", [(), ("docx",), "html"])
def test_unknown_formats_are_refused(small, tmp_path, formats):
    with pytest.raises(InvalidInput, match="one or more of html, pdf"):
        write_report(build_report(small), tmp_path / "digits", formats)


def test_a_folder_as_name_is_refused(small, tmp_path):
    with pytest.raises(InvalidInput, match="is a folder"):
        write_report(build_report(small), tmp_path, ["html"])


# Figures and numbers -------------------------------------------------------------------------------------------------
def test_a_variant_looks_the_same_in_every_figure():
    assert plotting.looks(["a", "b", "c"])["b"] == plotting.looks(["z", "b"])["b"]
    many = plotting.looks([str(index) for index in range(30)]).values()
    assert len({(look.colour, look.marker) for look in many}) == 30


def test_figures_return_the_axes_they_drew_on(comparison):
    axes = Figure().subplots()
    data = full_tables.energy_by_part(comparison.estimates)
    assert plotting.stacked_energy(axes, data, plotting.part_colours(list(data.columns))) is axes
    assert axes.get_xlabel() == "energy per inference, nJ"


def test_given_text_is_never_read_as_mathematics():
    assert plotting.label("$x$") == r"\$x\$"
    assert plotting.label("_hidden").strip() == "_hidden"


def test_a_long_name_is_cut():
    assert len(plotting.label("word " * 30, 20)) <= 41


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.5, "0.500"),
        (1234567, "1,234,567"),
        (float("nan"), "\N{EN DASH}"),
        (-0.0001, "\N{MINUS SIGN}0.000100"),
    ],
)
def test_numbers_have_three_significant_digits(value, text):
    assert number(value) == text


def test_nothing_has_no_sign():
    assert number(-0.04, decimals=1, signed=True) == "0.0"


def test_one_unit_serves_a_column():
    assert unit_for([200.0, 5000.0], ENERGY).name == "nJ"
    assert column([200.0, 5000.0], 1000) == ["0.200", "5.00"]


def test_reports_need_no_deep_learning_and_start_light():
    code = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(('torch', 'norse', 'tonic')))\n"
        "import spikejoule.reports.compare\n"
        "assert not {'matplotlib', 'typst', 'jinja2'} & set(sys.modules)\n"
        "import spikejoule.reports.page.write"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
