from html import escape

import pytest

from workbench.execution import external_references

FAR = "https://cdn.example.org/x"


@pytest.mark.parametrize(
    "html",
    [
        f'<script src="{FAR}"></script>',
        f'<link rel="stylesheet" href="{FAR}">',
        f'<img src="{FAR}">',
        f'<iframe src="{FAR}"></iframe>',
        f'<video poster="{FAR}"></video>',
        f'<svg><image href="{FAR}"/></svg>',
        f'<p style="background: url({FAR})">',
        f"<style>p {{ background: url('{FAR}') }}</style>",
        f'<style>@import "{FAR}";</style>',
        f'<script type="module">import a from "{FAR}"</script>',
        f'<script>if (a < 1) import("{FAR}")</script>',
    ],
)
def test_what_a_browser_fetches_is_found(html):
    assert external_references(f"<!DOCTYPE html><p>a{html}") == [FAR]
    framed = f'<iframe srcdoc="{escape(html)}"></iframe>'
    assert external_references(framed) == [FAR]
    assert external_references(f'<iframe srcdoc="{escape(framed)}"></iframe>') == [FAR]


@pytest.mark.parametrize(
    "html",
    [
        "",
        f'<a href="{FAR}">a link</a>',
        '<img src="data:image/png;base64,AAAA">',
        '<img src="figures/a.png"><script src="a.js"></script>',
        f"<p>{FAR}</p><!-- <script src='{FAR}'></script> -->",
        '<svg xmlns="http://www.w3.org/2000/svg"></svg>',
        f'<script>const home = "{FAR}"</script>',
    ],
)
def test_what_it_does_not_fetch_is_not(html):
    assert external_references(html) == []


def test_an_address_without_a_scheme_is_far_too():
    assert external_references('<script src="//cdn.example.org/x"></script>')
