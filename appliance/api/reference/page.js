// The admin API's document, to be read and tried. Everything is set as text, never as markup; the token is kept nowhere.
"use strict";

const byId = (id) => document.getElementById(id);

function element(name, text, parent) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (parent) parent.append(made);
  return made;
}

function resolved(schema, whole) {
  if (!schema || !schema.$ref) return schema || {};
  return schema.$ref.split("/").slice(1).reduce((at, part) => at[part], whole);
}

// A body to begin with: every required member, empty.
function skeleton(schema, whole) {
  const it = resolved(schema, whole);
  if (it.enum) return it.enum[0];
  if (it.oneOf) return skeleton(it.oneOf[0], whole);
  switch (Array.isArray(it.type) ? it.type[0] : it.type) {
    case "object": {
      const made = {};
      for (const name of it.required || []) made[name] = skeleton(it.properties[name], whole);
      return made;
    }
    case "array": return it.minItems ? [skeleton(it.items, whole)] : [];
    case "integer": return it.minimum || 0;
    case "boolean": return false;
    default: return "";
  }
}

function field(parameter, parent) {
  const label = element("label", undefined, parent);
  label.className = "field";
  element("span", parameter.name + (parameter.required ? " * " : " "), label);
  const input = element("input", undefined, label);
  input.size = 40;
  input.placeholder = parameter.example || "";
  if (parameter.name === "If-Match") input.value = "*";
  if (parameter.description) {
    const about = element("span", " " + parameter.description, label);
    about.className = "small";
  }
  return { parameter, input };
}

async function send(method, path, fields, body, out) {
  let target = path;
  const query = new URLSearchParams();
  const headers = {};
  for (const { parameter, input } of fields) {
    if (parameter.in === "path") target = target.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
    else if (input.value === "") continue;
    else if (parameter.in === "query") query.set(parameter.name, input.value);
    else headers[parameter.name] = input.value;
  }
  const token = byId("token").value.trim();
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body) headers["Content-Type"] = "application/json";
  const asked = query.size ? `${target}?${query}` : target;
  out.textContent = "…";
  try {
    const answer = await fetch(asked, {
      method, headers, body: body ? body.value : undefined, credentials: "omit", redirect: "error",
    });
    const text = await answer.text();
    let shown = text;
    try { shown = JSON.stringify(JSON.parse(text), null, 2); } catch { /* no JSON: as it is */ }
    out.textContent = `${answer.status} ${method} ${asked}\n${answer.headers.get("X-Correlation-Id") || ""}\n\n${shown}`;
  } catch (error) {
    out.textContent = String(error);
  }
}

function operation(method, path, it, whole, parent) {
  const box = element("details", undefined, parent);
  box.dataset.words = `${method} ${path} ${it.description}`.toLowerCase();
  const head = element("summary", undefined, box);
  element("b", method, head);
  element("span", path, head);
  element("p", it.description, box);
  const fields = it.parameters.map((parameter) => field(parameter, box));
  let body;
  if (it.requestBody) {
    const content = it.requestBody.content["application/json"];
    body = element("textarea", undefined, box);
    body.rows = 8;
    body.spellcheck = false;
    body.value = JSON.stringify(content.example || skeleton(content.schema, whole), null, 2);
    const form = element("details", undefined, box);
    element("summary", "schema", form);
    element("pre", JSON.stringify(content.schema, null, 2), form);
  }
  const button = element("button", "Send", box);
  const out = element("pre", undefined, box);
  button.addEventListener("click", () => send(method, path, fields, body, out));
  const answers = element("details", undefined, box);
  element("summary", "answers", answers);
  const table = element("table", undefined, answers);
  for (const [status, answer] of Object.entries(it.responses)) {
    const row = element("tr", undefined, table);
    element("td", status, row);
    element("td", answer.description, row);
  }
}

async function start() {
  const whole = await (await fetch("openapi.json", { credentials: "omit" })).json();
  byId("about").textContent = whole.info.description;
  const parent = byId("operations");
  for (const tag of whole.tags) {
    element("h2", tag.name, parent);
    for (const [path, methods] of Object.entries(whole.paths))
      for (const [method, it] of Object.entries(methods))
        if (it.tags.includes(tag.name)) operation(method.toUpperCase(), path, it, whole, parent);
  }
  byId("find").addEventListener("input", (event) => {
    const words = event.target.value.toLowerCase();
    for (const box of parent.querySelectorAll(":scope > details")) box.hidden = !box.dataset.words.includes(words);
  });
}

start().catch((error) => { byId("operations").textContent = String(error); });
