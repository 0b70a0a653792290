"""A comparison pairs what belongs together, refuses the rest, and says in words which way it fell."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from spikejoule.energy.explaining.narrow_states import Replayed
from spikejoule.energy.machines.accelerator import load_accelerator
from spikejoule.energy.pricing.estimate import estimate
from spikejoule.reports.compare import compare
from spikejoule.reports.page.blocks import Paragraph, Table
from spikejoule.reports.sections.contents import sentences
from spikejoule.reports.sections.headline import headline
from spikejoule.reports.sections.state_width import state_width, widths
from spikejoule.sim.counting.operations import count
from spikejoule.sim.errors import InvalidInput
from spikejoule.sim.network.workload import Linear, Workload
from spikejoule.sim.readable_numbers import MINUS
from spikejoule.sim.replay.replay import SpikeMismatch
from spikejoule.sim.trace.spike_trace import SpikeTrace
from spikejoule.sim.trace.trace_writer import TraceWriter

CHIP, SOP = load_accelerator("event-driven-45nm"), load_accelerator("sop-45nm")
STEPS, SAMPLES = 3, 20


@pytest.fixture(scope="module")
def counts(tmp_path_factory):
    """``counts(rate, correct, seed)``: operations of a small network that fires at ``rate`` and is right so often."""
    folder, known = tmp_path_factory.mktemp("traces"), {}

    def make(rate, correct=16, seed=0, weight_kind="binary", **changes):
        key = (rate, correct, seed, weight_kind, *sorted(changes.items()))
        if key not in known:
            samples = changes.get("samples", SAMPLES)
            first = Linear(name="fc1", in_shape=(16,), out_features=64, weight_kind="float")
            middle = Linear(name="fc2", in_shape=(64,), out_features=64, source="fc1", weight_kind=weight_kind)
            last = Linear(name="out", in_shape=(64,), out_features=4, source="fc2", neuron="readout")
            net = Workload(name="mlp", input_shape=(16,), layers=(first, middle, last))
            spikes = {}
            for name, (shape, _) in net.signals.items():  # exactly this many spikes, so that energies are exact too
                flat = np.arange(STEPS * samples * shape[0]) % 1000 < 1000 * rate
                spikes[name] = flat.reshape(STEPS, samples, *shape)
            labels = np.arange(samples) % 4
            predictions = np.where(np.arange(samples) < correct, labels, (labels + 1) % 4)
            path = folder / f"{len(known)}.zarr"
            origin = {"seed": seed, "run": f"run{len(known)}", "dataset": changes.get("dataset", "digits-events")}
            with TraceWriter(path, net, STEPS, provenance=origin) as writer:
                writer.append(spikes, labels=labels, predictions=predictions)
            known[key] = count(SpikeTrace.open(path))
        return known[key]

    return make


def estimates(counts, rates, correct=(16, 16, 16), chip=CHIP, **changes):
    group = zip(rates, correct, range(len(rates)), strict=False)
    return [estimate(counts(rate, right, seed, **changes), chip) for rate, right, seed in group]


def twins(counts, agmm=(0.10, 0.12, 0.11), gain=(0.13, 0.14, 0.15), correct=(16, 16, 16), seeds=3, **arguments):
    variants = {
        "SNN fp32": estimates(counts, (0.2, 0.22, 0.21)[:seeds], weight_kind="float"),
        "BSNN + constant gain": estimates(counts, gain[:seeds]),
        "BSNN + AGMM": estimates(counts, agmm[:seeds], correct),
    }
    return compare(variants, baseline="SNN fp32", **arguments)


def flips(*per_epoch):
    rows = [(epoch, "fc2", "sign_flips", float(value)) for epoch, value in enumerate(per_epoch)]
    return pd.DataFrame([*rows, (0, "fc1", "sign_flips", 1e9)], columns=["epoch", "layer", "quantity", "value"])


# Summary -------------------------------------------------------------------------------------------------------------
def test_summary_takes_means_and_spreads_over_seeds(counts):
    comparison = twins(counts, correct=(14, 16, 18))
    row = comparison.summary().set_index("variant").loc["BSNN + AGMM"]
    energies = [result.energy_pj / 1e3 for result in comparison.estimates["BSNN + AGMM"]]
    assert row["accuracy"] == pytest.approx(0.8)
    assert row["accuracy_spread"] == pytest.approx(0.1)
    assert row["accuracy_se"] == pytest.approx(np.sqrt(0.8 * 0.2 / 20))
    assert row["energy_nj"] == pytest.approx(np.mean(energies))
    assert row["energy_nj_spread"] == pytest.approx(np.std(energies, ddof=1))
    assert row["latency_us"] == pytest.approx(1e6 * np.mean([e.latency_s for e in comparison.estimates["BSNN + AGMM"]]))


def test_the_ratio_is_the_mean_of_paired_ratios(counts):
    comparison = twins(counts)
    pairs = zip(comparison.estimates["SNN fp32"], comparison.estimates["BSNN + AGMM"], strict=True)
    expected = np.mean([base.energy_pj / variant.energy_pj for base, variant in pairs])
    assert comparison.summary().set_index("variant").loc["BSNN + AGMM", "ratio"] == pytest.approx(expected)


def test_the_bounds_hold_the_ratio_of_mean_energies(counts):
    summary = twins(counts).summary().set_index("variant")
    ratio = summary.loc["SNN fp32", "energy_nj"] / summary["energy_nj"]
    assert (summary["ratio_low"] <= ratio + 1e-12).all()
    assert (ratio <= summary["ratio_high"] + 1e-12).all()


def test_fewer_spikes_and_bits_everywhere_are_dominated(counts):
    summary = twins(counts).summary().set_index("variant")
    assert summary["dominated"].to_dict() == {"SNN fp32": False, "BSNN + constant gain": True, "BSNN + AGMM": True}


def test_one_seed_has_no_spread(counts):
    summary = twins(counts, seeds=1).summary()
    assert summary["energy_nj_spread"].isna().all()


# What is paired ------------------------------------------------------------------------------------------------------
def test_differences_are_taken_seed_by_seed_whatever_the_order(counts):
    shuffled = {name: group[::-1] if "AGMM" in name else group for name, group in twins(counts).estimates.items()}
    again = compare(shuffled, baseline="SNN fp32")
    pd.testing.assert_frame_equal(again.paired(), twins(counts).paired())


def test_paired_differences_by_hand(counts):
    comparison = twins(counts)
    row = comparison.paired(("energy_pj",), [("BSNN + AGMM", "SNN fp32")]).iloc[0]
    pairs = zip(comparison.estimates["BSNN + AGMM"], comparison.estimates["SNN fp32"], strict=True)
    differences = [ours.energy_pj - base.energy_pj for ours, base in pairs]
    assert row["difference"] == pytest.approx(np.mean(differences))
    assert (row["difference_low"], row["difference_high"]) == pytest.approx((min(differences), max(differences)))
    assert row["distinguishable"]


def test_flips_are_those_of_binary_layers_per_epoch(counts):
    logs = {"BSNN + AGMM": [flips(8, 4)] * 3, "BSNN + constant gain": [flips(10, 10), flips(12, 10), flips(10, 12)]}
    table = twins(counts, logs=logs).paired(("sign_flips",)).set_index("layer")
    assert list(table.index) == ["", "fc2"]
    assert table.loc["", "value"] == 6
    assert table.loc["", "difference"] == pytest.approx((-4 - 5 - 5) / 3)
    assert table.loc["", "percent"] == pytest.approx(100 * (-4 / 10 - 5 / 11 - 5 / 11) / 3)


def test_logs_follow_the_order_of_their_estimates(counts):
    variants = {name: list(group)[::-1] for name, group in twins(counts).estimates.items()}
    comparison = compare(variants, baseline="SNN fp32", logs={"BSNN + AGMM": [flips(2), flips(1), flips(0)]})
    assert [log["value"].iloc[0] for log in comparison.logs["BSNN + AGMM"]] == [0, 1, 2]


def test_without_logs_there_are_no_flips(counts):
    assert set(twins(counts).paired()["quantity"]) == {"synaptic_operations", "accuracy", "energy_pj"}


def test_an_unknown_quantity_is_refused(counts):
    with pytest.raises(InvalidInput, match="'joules' is not known; use one of sign_flips"):
        twins(counts).paired(("joules",))


# What is refused -----------------------------------------------------------------------------------------------------
def refused(estimates, baseline="a", **arguments):
    with pytest.raises(InvalidInput) as caught:
        compare(estimates, baseline, **arguments)
    return str(caught.value)


def test_an_unknown_baseline_is_refused(counts):
    assert "baseline 'b' is not among the variants: 'a'" in refused({"a": estimates(counts, (0.1,))}, "b")


def test_nothing_to_compare_is_refused():
    assert "is empty" in refused({})
    assert "has no estimate" in refused({"a": []})


def test_accelerators_are_never_mixed(counts):
    mixed = {"a": estimates(counts, (0.1,)), "b": estimates(counts, (0.1,), chip=SOP)}
    assert "mixes the accelerators event-driven-45nm, sop-45nm" in refused(mixed)


def test_seeds_must_match(counts):
    assert "same seeds" in refused({"a": estimates(counts, (0.1, 0.1)), "b": estimates(counts, (0.1,))})


def test_a_seed_given_twice_is_refused(counts):
    assert "seed of its own" in refused({"a": estimates(counts, (0.1,)) * 2})


def test_other_data_is_refused(counts):
    for change, what in (({"samples": 24}, "samples 24"), ({"dataset": "digits"}, "dataset 'digits'")):
        variants = {"a": estimates(counts, (0.1,)), "b": estimates(counts, (0.1,), **change)}
        assert f"variant 'b' has {what}" in refused(variants)


def test_other_traces_on_a_further_machine_are_refused(counts):
    other = {"a": estimates(counts, (0.2,), chip=SOP)}
    assert "comes from another trace" in refused({"a": estimates(counts, (0.1,))}, others=[other])


def test_the_same_machine_twice_is_refused(counts):
    variants = {"a": estimates(counts, (0.1,))}
    assert "given twice" in refused(variants, others=[variants])


def test_logs_without_their_columns_are_refused(counts):
    bad = {"a": [pd.DataFrame({"epoch": [1]})]}
    assert "lacks layer, quantity, value" in refused({"a": estimates(counts, (0.1,))}, logs=bad)


# Words ---------------------------------------------------------------------------------------------------------------
def test_the_sentence_when_the_focus_uses_less(counts):
    comparison = twins(counts)
    energy = comparison.summary().set_index("variant").loc["BSNN + AGMM", "energy_nj"]
    sentence = headline(comparison)
    assert sentence.startswith("At 80.0 ± 0.0 % accuracy, BSNN + AGMM uses ")
    assert f"{energy:.3g} nJ per inference on event-driven-45nm: " in sentence
    assert "times less than SNN fp32 and " in sentence
    assert sentence.endswith("times less than BSNN + constant gain, which is distinguishable over 3 seeds.")


def test_the_sentence_when_the_focus_uses_more(counts):
    comparison = twins(counts, agmm=(0.16, 0.17, 0.18))
    assert headline(comparison).endswith("times more than BSNN + constant gain, which is distinguishable over 3 seeds.")
    assert any(
        verdict.startswith("BSNN + AGMM does not beat BSNN + constant gain on energy: ") and " % more (" in verdict
        for verdict in sentences.verdicts(comparison)
    )


def test_the_sentence_tells_the_accuracy_of_references_that_reach_another(counts):
    sentence = headline(twins(counts, correct=(12, 14, 13)))  # of 20 samples; the references 16
    assert sentence.startswith("At 65.0 ± 5.0 % accuracy, BSNN + AGMM uses ")
    assert "times less than SNN fp32 at 80.0 % and " in sentence
    assert "times less than BSNN + constant gain at 80.0 %, which is " in sentence


def test_the_sentence_when_seeds_disagree(counts):
    comparison = twins(counts, agmm=(0.12, 0.15, 0.14))
    assert headline(comparison).endswith("BSNN + constant gain, which is not distinguishable over 3 seeds.")
    verdict = sentences.verdicts(comparison)[1]
    assert verdict.startswith("BSNN + AGMM does not beat BSNN + constant gain on energy: ")
    assert "not distinguishable" in verdict


def test_the_sentence_when_both_are_the_same(counts):
    comparison = twins(counts, agmm=(0.13, 0.14, 0.15))
    assert "and as much as BSNN + constant gain, which is not distinguishable" in headline(comparison)
    assert "does not beat BSNN + constant gain on energy: the same to 0.1 %" in sentences.verdicts(comparison)[1]


def test_one_seed_tells_nothing_from_chance(counts):
    comparison = twins(counts, seeds=1)
    assert "from one seed only" in headline(comparison)
    assert not any("beat" in verdict for verdict in sentences.verdicts(comparison))
    assert "no spread and no interval" in sentences.seeds_sentence(comparison)


def test_a_verdict_says_what_accuracy_did(counts):
    verdict = sentences.verdicts(twins(counts, correct=(12, 13, 14)))[1].replace(MINUS, "-")
    assert verdict.endswith("; accuracy 15.0 points lower (-20.0 to -10.0), distinguishable.")


def test_three_seeds_are_called_coarse(counts):
    sentence = sentences.seeds_sentence(twins(counts))
    assert "cannot leave the range of the 3 differences, and with three they are just that range" in sentence
    assert "1 of 4 cases" in sentence


def test_the_standard_error_stands_beside_the_accuracy(counts):
    assert "standard error of one run at 80.0 % accuracy is 8.94 points" in sentences.samples_sentence(twins(counts))


def test_simulated_events_are_called_so(counts):
    assert sentences.dataset_title(twins(counts)) == "simulated events of real digits"


def replayed(estimates, widths=(None, 8), factor=0.5):
    """Made-up replays of some estimates: the same figures, at other widths, with energies times a factor."""
    result = []
    for one in estimates:
        about = {**one.provenance, "replayed": {"trace": one.operations.trace_hash}}
        operations, table = replace(one.operations, provenance=about), one.table.copy()
        table["energy_pj"] *= factor
        priced, differing = replace(one, table=table), SpikeMismatch(3, 50, 600)
        made = [Replayed(bits, operations, differing, 0.01, priced if bits else None) for bits in widths]
        result.append(tuple(made))
    return result


def narrow(counts, **factors):
    pair = {"a": estimates(counts, (0.2, 0.22)), "b": estimates(counts, (0.1, 0.12))}
    again = {name: replayed(group, factor=factors.get(name, 0.5)) for name, group in pair.items()}
    return compare(pair, baseline="a", replayed=again)


def test_ratios_are_taken_at_the_same_width(counts):
    """Half of the baseline's energy and a fifth of the other's: the ratio grows 2.5 times."""
    told = narrow(counts, b=0.2)
    data = widths(told).set_index(["variant", "seed", "state"])["ratio"]
    for seed in (0, 1):
        wide, small = data["b", seed, "float32, as trained"], data["b", seed, "fixed8"]
        assert small == pytest.approx(2.5 * wide)
    sentence = state_width(told)[0].text
    assert sentence.startswith("a / b, both at the same width, is")
    assert "the ratio grows 2.50 times" in sentence


def test_the_ratio_may_stay_or_shrink(counts):
    assert "the ratio does not move" in state_width(narrow(counts))[0].text
    assert "the ratio shrinks 2.00 times" in state_width(narrow(counts, b=1.0))[0].text


def test_differing_spikes_are_shares_of_places_and_of_spikes(counts):
    table = next(block for block in state_width(narrow(counts)) if isinstance(block, Table))
    assert [row[3:6] for row in table.rows if row[1] == "8 bits"] == [("0.500", "6.00", "1.00")] * 2


def test_the_float64_check_is_told_apart(counts):
    text = " ".join(block.text for block in state_width(narrow(counts)) if isinstance(block, Paragraph))
    assert "12 of 2,400 places" in text


def test_without_replays_the_section_says_so(counts):
    assert "Nothing was replayed" in state_width(twins(counts))[0].text


def test_replays_that_do_not_match_are_refused(counts):
    one, other = estimates(counts, (0.2,)), estimates(counts, (0.1,))
    refusals = {
        "is of another trace": {"a": replayed(other)},
        "others at": {"a": replayed(one), "b": replayed(other, widths=(None, 16))},
        "give one per estimate": {"a": []},
    }
    for message, given in refusals.items():
        with pytest.raises(InvalidInput, match=message):
            compare({"a": one, "b": other}, baseline="a", replayed=given)
