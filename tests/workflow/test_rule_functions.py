"""Functions of rules, as Snakemake calls them."""

import inspect

from snakemake.common import get_input_function_aux_params

from attacca.workflow.rule_functions import store_signature


class Resources:
    def memory(self, wildcards, attempt, threads, rulename):
        return wildcards, attempt, threads, rulename


def test_snakemake_passes_the_values_that_a_method_has_parameters_for():
    memory = Resources().memory
    function = store_signature(memory)
    assert inspect.signature(function) == inspect.signature(memory)
    given = {"attempt": 2, "threads": 8, "rulename": "predict_shard", "input": ["a"], "groupid": None}
    named_values = get_input_function_aux_params(function, given)
    assert set(named_values) == {"attempt", "threads", "rulename"}
    assert function("w", **named_values) == memory("w", 2, 8, "predict_shard")


def test_the_signature_of_a_function_is_derived_once(monkeypatch):
    function = store_signature(Resources().memory)
    expected = inspect.signature(function)
    monkeypatch.setattr(inspect, "_signature_from_function", None)
    assert inspect.signature(function) == expected
