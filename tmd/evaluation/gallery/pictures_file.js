"use strict";
// In the gallery's frame, tell it the pictures; opened by themselves, show them.
const pictures = JSON.parse(document.getElementById("pictures").textContent);
if (parent === window) {
  for (const [name, src] of Object.entries(pictures)) {
    const picture = Object.assign(new Image(), { src, alt: name, title: name });
    document.body.append(name, document.createElement("br"), picture, document.createElement("br"));
  }
} else {
  // The gallery's origin is none that could be named: both are files.
  parent.postMessage({ number: Number(document.body.dataset.number), pictures }, "*");
}
