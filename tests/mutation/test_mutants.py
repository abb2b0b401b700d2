"""Mutants can be made, are many, and put a fault into a function; whether properties find them, another script says."""

from mutants import Mutant, function_of, mutants

from iochain.portgroup import vlan


def test_there_are_many_in_every_module() -> None:
    every = mutants()
    assert len(every) >= 240
    assert {mutant.module.rpartition(".")[2] for mutant in every} == {
        "vlan",
        "security",
        "receive",
        "forwarding",
        "reverse_path",
        "teaming",
    }


def test_a_mutant_is_another_function() -> None:
    mutant: Mutant = mutants()[0]
    function = function_of(vlan, mutant.function)
    before = function.__code__
    try:
        mutant.put_in()
        assert function.__code__ != before
    finally:
        function.__code__ = before
