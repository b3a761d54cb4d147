// xterm.js puts style sheets and style attributes into the page, which the page's policy (style-src 'self') forbids. It
// gets the same through the CSS object model, which the policy leaves alone: a sheet is a constructed one, adopted by
// the document, and a style attribute is set property by property. Loaded before xterm.js, as an ordinary script.
'use strict';
(() => {
  const create = Document.prototype.createElement;
  Document.prototype.createElement = function createElement(name, options) {
    if (String(name).toLowerCase() !== 'style') return create.call(this, name, options);
    const place = create.call(this, 'template');
    const sheet = new CSSStyleSheet();
    this.adoptedStyleSheets = [...this.adoptedStyleSheets, sheet];
    const remove = place.remove.bind(place);
    Object.defineProperties(place, {
      textContent: { get: () => '', set: (text) => { sheet.replaceSync(text); } },
      remove: {
        value: () => {
          this.adoptedStyleSheets = this.adoptedStyleSheets.filter((one) => one !== sheet);
          remove();
        },
      },
    });
    return place;
  };
  const set = Element.prototype.setAttribute;
  Element.prototype.setAttribute = function setAttribute(name, value) {
    if (name === 'style' && this.style) this.style.cssText = value;
    else set.call(this, name, value);
  };
})();
