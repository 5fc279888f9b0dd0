// What the server is asked, and what becomes of its errors.

export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

const RETRIES = 3; // of what a busy server refuses
const PATIENT = 60; // of what it is still computing
const hooks = { token: async () => false, busy: () => {} };

// token(): resolves to whether the person has been let in; busy(text, seconds): a search is tried again after so long
export const on = (handlers) => Object.assign(hooks, handlers);

const wait = (seconds) => new Promise((done) => { setTimeout(done, seconds * 1000); });

// any response that is not an error; tokens and busy servers are seen to here
export async function request(path, { retries = RETRIES, ...options } = {}) {
  for (let tries = 0; ; tries += 1) {
    const response = await send(path, options);
    if (response.ok) return response;
    const detail = await detailOf(response);
    if (response.status === 401 && await hooks.token()) continue;
    const later = Number(response.headers.get("Retry-After"));
    const isBusy = response.status === 429 || (response.status === 503 && later);
    if (!isBusy || tries === retries) throw new ApiError(response.status, detail);
    const pause = Math.min(later || 2 ** tries, 10);
    if (options.signal) hooks.busy(detail, pause);
    await wait(pause);
    options.signal?.throwIfAborted();
  }
}

async function send(path, options) {
  try {
    return options.body instanceof Blob ? await upload(path, options) : await fetch(path, options);
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new ApiError(0, "The server does not answer. Is crossmodal serve still running?");
  }
}

// as fetch, and tells progress(share) while a body goes out, which fetch cannot
function upload(path, { body, signal, progress }) {
  return new Promise((done, fail) => {
    const sender = new XMLHttpRequest();
    sender.open("POST", path);
    sender.setRequestHeader("Content-Type", "application/octet-stream");
    sender.upload.onprogress = (event) => progress?.(event.loaded / event.total);
    sender.onload = () => done(new Response(sender.responseText || null, {
      status: sender.status,
      headers: { "Retry-After": sender.getResponseHeader("Retry-After") ?? "" },
    }));
    sender.onerror = sender.ontimeout = () => fail(new TypeError("no answer"));
    sender.onabort = () => fail(new DOMException("aborted", "AbortError"));
    signal?.addEventListener("abort", () => sender.abort());
    sender.send(body);
  });
}

async function detailOf(response) {
  try {
    const { detail } = await response.json();
    if (typeof detail === "string" && detail) return detail;
  } catch { /* it is no JSON: the status tells */ }
  return `The server answered with error ${response.status}.`;
}

const asJson = async (path, options) => (await request(path, options)).json();
const query = (values) => new URLSearchParams(values).toString();

export const info = () => asJson("api/info");
export const track = (id) => asJson(`api/track?${query({ id })}`);
export const waveform = (id) => asJson(`api/waveform?${query({ id, bins: 200 })}`);
export const map = (colour) => asJson(`api/map${colour ? `?${query({ colour })}` : ""}`, { retries: PATIENT });
export const audioUrl = (id) => `api/audio?${query({ id })}`;
export const hasAudio = (id) => request(audioUrl(id), { method: "HEAD" });

export const search = (wishes, signal) => asJson("api/search", {
  method: "POST",
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify(wishes),
  signal,
});

// wishes as search's, but their where goes as many parameters, and what is not said is left out
export function searchWith(file, wishes, signal, progress) {
  const { where, ...others } = wishes;
  const said = Object.entries(others).filter(([, value]) => value !== null && value !== false);
  const pairs = [...said, ...where.map((condition) => ["where", condition])];
  return asJson(`api/search/upload?${query(pairs)}`, { method: "POST", body: file, signal, progress });
}

// null if the token is right, or what the server says
export async function openSession(token) {
  const headers = { "Content-Type": "application/json" };
  const response = await send("api/session", { method: "POST", headers, body: JSON.stringify({ token }) });
  return response.ok ? null : detailOf(response);
}
