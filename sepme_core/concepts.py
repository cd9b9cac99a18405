"""What to remove and what to keep: concepts, their prompts, and everything protected."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from .errors import ConceptError
from .spelling import NameFinder, name_key, spellings

__all__ = [
    "DEFAULT_TEMPLATES",
    "NEAREST",
    "SLOT",
    "Concept",
    "ConceptPrompt",
    "ConceptSet",
    "fill",
    "is_name",
    "name_key",
    "named_in",
    "quoted",
]

SLOT = "{}"
NEAREST = "nearest"
"""The anchor that stands for the protected concept most like the one to be erased."""
DEFAULT_TEMPLATES = (
    "a photo of a {}",
    "a drawing of a {}",
    "a picture of a {}",
    "{} in the garden",
    "a cute {}",
)
"""For artists and styles, which people name otherwise than objects."""


@dataclass(frozen=True)
class Concept:
    """Something a model shall no longer draw.

    Args:
        name: what users type, e.g. `Van Gogh`.
        synonyms: other words for it, erased together with the name.
        anchor: what is drawn instead; the empty prompt by default, `NEAREST` for the protected
            concept that is most like it.
    """

    name: str
    synonyms: tuple[str, ...] = ()
    anchor: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """The name and its synonyms."""
        return (self.name, *self.synonyms)


@dataclass(frozen=True)
class ConceptPrompt:
    """One prompt that shows a concept, taken apart around the concept's name."""

    before: str
    name: str
    after: str
    anchor: str

    @property
    def text(self) -> str:
        """The prompt itself."""
        return _tidy(f"{self.before}{self.name}{self.after}")

    @property
    def anchored(self) -> str:
        """The prompt with the anchor in the concept's place."""
        return _tidy(f"{self.before}{self.anchor}{self.after}")


@dataclass(frozen=True)
class ConceptSet:
    """The concepts known together and everything that must survive their erasure.

    Every concept protects every other one, whether or not both are erased.

    Args:
        concepts: at least one.
        templates: sentences with `{}` where the name goes. The bare name is always used as well.
        protected_concepts: names used in the templates like the concepts, but never erased.
        protected_prompts: whole prompts kept as they are; the empty prompt is always among them.
        preserve: ordinary captions, hundreds of them, protected softly behind everything else.

    Raises:
        ConceptError: for empty or repeated names, templates without `{}`, or a concept that is
            also protected.
    """

    concepts: tuple[Concept, ...]
    templates: tuple[str, ...] = DEFAULT_TEMPLATES
    protected_concepts: tuple[str, ...] = ()
    protected_prompts: tuple[str, ...] = ()
    preserve: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.concepts:
            raise ConceptError("No concept is given. Write at least one, one a line.")
        _check_names(self.concepts)
        _check_anchors(self.concepts)
        _check_templates(self.templates)
        _check_protected(self)

    def __getitem__(self, name: str) -> Concept:
        """The concept of that name (or synonym), whatever its capitals."""
        for concept in self.concepts:
            if name_key(name) in map(name_key, concept.names):
                return concept
        known = ", ".join(c.name for c in self.concepts)
        raise ConceptError(f"{name!r} is not among the concepts. Known: {known}.")

    def choose(self, names: Iterable[str]) -> tuple[Concept, ...]:
        """The named concepts in the set's own order; all of them when no name is given."""
        chosen = {self[name].name for name in names}
        return tuple(c for c in self.concepts if not chosen or c.name in chosen)

    def also_protecting(self, others: Iterable[Concept]) -> ConceptSet:
        """The same set with further concepts protected, synonyms included.

        A concept that shares a name with one of this set is that concept, and left out whole.
        """
        known = {name_key(n) for c in self.concepts for n in c.names}
        new = [c for c in others if not known & set(map(name_key, c.names))]
        listed = set(map(name_key, self.protected_concepts))
        extra = dict.fromkeys(n for c in new for n in c.names if name_key(n) not in listed)
        return replace(self, protected_concepts=(*self.protected_concepts, *extra))

    def in_order(self) -> ConceptSet:
        """The same set with its lines in an order of their own: they may come in any.

        What is protected is so wherever it stands, and so do concepts protect each other. Where a
        template or a synonym stands does count: drawings take them in turn.
        """
        return replace(
            self,
            concepts=tuple(sorted(self.concepts, key=lambda c: (name_key(c.name), c.name))),
            protected_concepts=_in_order(self.protected_concepts),
            protected_prompts=_in_order(self.protected_prompts),
        )

    def prompts_of(self, concept: Concept) -> list[ConceptPrompt]:
        """Every spelling of every name of a concept, bare and in every template."""
        parts = [template.split(SLOT, 1) for template in (SLOT, *self.templates)]
        return [
            ConceptPrompt(before, name, after, concept.anchor)
            for name in _written(concept.names)
            for before, after in parts
        ]

    def common_prompts(self) -> list[str]:
        """What every erasure leaves alone: the empty, the listed, and templates without a name."""
        bare = [fill(template, "") for template in self.templates]
        return list(dict.fromkeys(["", *self.protected_prompts, *bare]))

    def protected_phrasings(self) -> list[str]:
        """Every spelling of every protected name, bare and in every template."""
        return self._phrasings(self.protected_concepts)

    def protected_from(self, concept: Concept) -> list[str]:
        """Every prompt that erasing `concept` must leave alone, without repetition.

        The empty prompt, the protected prompts, the templates without any concept, and all other
        concepts in all templates (the rows of E_j, SRS-ME Eq. 17-26, over whole phrasings).
        """
        others = [n for c in self.concepts if c.name != concept.name for n in c.names]
        prompts = [*self.common_prompts(), *self._phrasings(others), *self.protected_phrasings()]
        return list(dict.fromkeys(prompts))

    def _phrasings(self, names: Iterable[str]) -> list[str]:
        return [fill(t, name) for name in _written(names) for t in (SLOT, *self.templates)]


def _written(names: Iterable[str]) -> list[str]:
    """Names as they are written in prompts."""
    return [form for name in names for form in spellings(name)]


def named_in(texts: Iterable[str], concepts: Iterable[Concept]) -> list[tuple[str, ...]]:
    """For every text the names of the concepts that it names, by whatever word."""
    owners = {name: concept.name for concept in concepts for name in concept.names}
    finder = NameFinder(owners, spaceless=True)
    return [tuple(dict.fromkeys(map(owners.__getitem__, finder.found_in(t)))) for t in texts]


@lru_cache(maxsize=1 << 16)  # a thousand concepts ask for each other's phrasings
def fill(template: str, name: str) -> str:
    """A template with a name in its slot; an empty name leaves a tidy sentence."""
    return _tidy(template.replace(SLOT, name, 1))


def is_name(prompt: str, templates: Sequence[str], protected: Container[str]) -> bool:
    """Whether a protected prompt stands for a concept: it is protected in every template."""
    return bool(prompt and templates) and all(fill(t, prompt) in protected for t in templates)


def quoted(prompt: str) -> str:
    """A prompt in quotation marks, for messages; the empty one in words."""
    return repr(prompt) if prompt else "the empty prompt"


def _in_order(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(names), key=lambda name: (name_key(name), name)))


def _check_names(concepts: tuple[Concept, ...]) -> None:
    seen: dict[str, str] = {}
    for concept in concepts:
        for name in concept.names:
            if not name.strip():
                raise ConceptError(f"Concept {concept.name!r} has an empty name or synonym.")
            if name_key(name) in seen:
                raise ConceptError(
                    f"{name!r} is given twice, for {seen[name_key(name)]!r} and {concept.name!r}. "
                    "Give each name once; further words for one concept go behind '|'."
                )
            seen[name_key(name)] = concept.name


def _check_anchors(concepts: tuple[Concept, ...]) -> None:
    for concept in concepts:
        for name in concept.names:
            if NameFinder([name]).finds_one_in(concept.anchor):
                raise ConceptError(
                    f"The anchor {concept.anchor!r} of {concept.name!r} holds {name!r}, which is "
                    "to be erased: it would be drawn again. Use a broader word, another concept, "
                    "or no anchor."
                )


def _check_templates(templates: tuple[str, ...]) -> None:
    for template in templates:
        if template.count(SLOT) != 1:
            raise ConceptError(
                f"Template {template!r} has {template.count(SLOT)} places for the name, "
                "expected exactly one '{}', as in 'a photo of a {}'. If another node, such as one "
                "for dynamic prompts, takes the '{}' away: write [name] in its place."
            )


def _check_protected(concepts: ConceptSet) -> None:
    names = {name_key(n): c.name for c in concepts.concepts for n in c.names}
    for prompt in (*concepts.protected_concepts, *concepts.protected_prompts):
        if name_key(prompt) in names:
            raise ConceptError(
                f"{prompt!r} is protected and also a name of the concept "
                f"{names[name_key(prompt)]!r}. Remove it from one of the two lists."
            )


def _tidy(text: str) -> str:
    return " ".join(text.split()).strip(" ,;")
