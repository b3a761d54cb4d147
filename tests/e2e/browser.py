#!/usr/bin/env python3
"""A person at a browser without scripts: opens a page, fills in a form, presses a button, and so on.

usage: browser.py CA COOKIES URL [FIELD=VALUE... [-- FIELD=VALUE...]...]

Prints where it ended and the text of the last page. Cookies are kept in the file COOKIES.
"""
import html.parser
import http.cookiejar
import os
import ssl
import sys
import urllib.parse
import urllib.request


class Page(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.forms, self.text = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag == "form":
            self.forms.append((given["action"], {}, []))
        if tag == "button" and self.forms:
            self.forms[-1][2].append(given.get("value"))
        if tag == "input" and given.get("type") == "hidden":
            self.forms[-1][1][given["name"]] = given["value"]

    def handle_data(self, data):
        self.text.append(data)

    def form_for(self, fields):
        """The last form with the button that is to be pressed, or else the last one."""
        fitting = [form for form in self.forms if fields.get("do") in form[2]] or self.forms
        return fitting[-1][:2]


def main():
    authority, cookie_file, url, *steps = sys.argv[1:]
    jar = http.cookiejar.LWPCookieJar(cookie_file)
    if os.path.exists(cookie_file):
        jar.load(ignore_discard=True)
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}),
        urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=authority)),
        urllib.request.HTTPCookieProcessor(jar))

    def send(address, fields=None):
        data = None if fields is None else urllib.parse.urlencode(fields).encode()
        try:
            answer = opener.open(address, data, timeout=20)
        except urllib.error.HTTPError as error:
            answer = error
        return answer.geturl(), answer.status, answer.read().decode()

    place, status, text = send(url)
    forms = []
    for step in steps:
        if step == "--" or not forms:
            forms.append({})
        if step != "--":
            name, value = step.split("=", 1)
            forms[-1][name] = value
    for fields in forms:
        action, hidden = Page(text).form_for(fields)
        place, status, text = send(urllib.parse.urljoin(place, action), {**hidden, **fields})
    jar.save(ignore_discard=True)
    print(status, place)
    print(" ".join("".join(Page(text).text).split()))


main()
