"""The code in templates is read where it stands, and nothing else of them."""

import pytest

from runbook.scan import scan
from runbook.scan.markup import code_of

USE = "db.project.findMany({ where: { ownerId: me } })"

PLACES = {
    ".vue": [
        f"<template>\n<p>{{{{ {USE} }}}}</p></template>",
        f'<template>\n<li v-for="(p, i) of {USE}" :key="p.id">{{{{ p.name }}}}</li></template>',
        f'<template>\n<li v-for="p in {USE}">it\'s</li></template>',
        f'<template>\n<b @click="x = 1; {USE}">x</b></template>',
        f"<template>\n<b @click.prevent='{USE}'>x</b></template>",
        f'<template>\n<b :rows="{USE}" class="a" title="b">x</b></template>',
        f'<template>\n<b v-if="{USE}" #default="{{ item }}">x</b></template>',
        f'<style>a {{ color: red }}</style>\n<script setup lang="ts">{USE}</script>',
    ],
    ".svelte": [
        f"<p>don't</p>\n{{#each {USE} as p, i (p.id)}}<b>{{p.name}}</b>{{/each}}",
        f"\n{{#if user}}a{{:else if {USE}}}b{{/if}}",
        f"\n{{#await {USE} then rows}}{{rows}}{{/await}}",
        f"\n<button on:click={{() => {USE}}}>x</button>",
        f'\n<b title="{{{USE}}}" {{...rest}}>x</b>',
        f"\n{{@const rows = {USE}}}",
        f"\n{{@html {USE}}}",
        f"\n<p>{{ {USE} }}</p><style>a {{ color: red }}</style>",
    ],
    ".astro": [
        f"---\nconst rows = await {USE};\n---\n<p>{{rows}}</p>",
        f"\n<p>{{{USE}.map((p) => <b>it's {{p.name}}</b>)}}</p>",
    ],
    ".erb": [f"<p>\n<%= Project.where(owner_id: {1}) %> <%# Project.where(owner_id: 2) %></p>"],
}


@pytest.mark.parametrize(
    ("suffix", "text"), [(suffix, text) for suffix, texts in PLACES.items() for text in texts]
)
def test_a_use_in_markup_is_found_on_its_line(tmp_path, suffix, text):
    path = tmp_path / f"a{suffix}"
    path.write_text(text)
    assert [finding.line for finding in scan(path).findings] == [2]


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        (".vue", f'<template><p title="{USE}">{USE}</p><!-- {{{{ {USE} }}}} --></template>'),
        (".svelte", f"<p title='x'>{USE.replace('{', '(').replace('}', ')')}</p>"),
        (".svelte", f"<!-- {{{USE}}} --><style>{{{USE}}}</style>"),
        (".vue", '<template><b @click="api.projects.create({ ownerId: me })">x</b></template>'),
    ],
)
def test_text_and_comments_of_markup_are_no_code(tmp_path, suffix, text):
    path = tmp_path / f"a{suffix}"
    path.write_text(text)
    assert scan(path).findings == ()


@pytest.mark.parametrize("suffix", [".vue", ".svelte", ".astro", ".erb"])
@pytest.mark.parametrize("unit", ["{", "{{", "{'", "<script>", "<%", ' @a="', "{#each ", "---\n"])
def test_positions_stay_and_hostile_markup_ends(suffix, unit):
    data = (unit * 4_000 + "\n" + unit).encode()
    code = code_of(data, suffix)
    assert (len(code), code.count(b"\n")) == (len(data), data.count(b"\n"))
