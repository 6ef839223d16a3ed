// @ts-check
// Who this browser is, and how the page talks to its server.

/** @param {string} key */
function readOrMake(key) {
  let value = localStorage.getItem(key);
  if (!value) {
    value = Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join(
      "",
    );
    localStorage.setItem(key, value);
  }
  return value;
}

// It lasts as long as the browser's storage: a phone that slept or a page that was reloaded finds its jobs by it.
export const client = readOrMake("webui-client");

/** @param {string} path */
export const url = (path) => new URL(`internal/${path}`, document.baseURI).href;

/** @param {string} path below the API's first version: `pictures?…`, `boards` */
export const apiUrl = (path) => new URL(`v1/${path}`, document.baseURI).href;

/** @param {string} path below the jobs of the API: `${id}/cancel`, `overview?…` */
export const jobsUrl = (path) => apiUrl(`jobs/${path}`);

/**
 * The answer as JSON.
 * @param {string} path
 * @returns {Promise<any>}
 * @throws {Error} with the server's sentence
 */
export const read = (path) => readFrom(url(path));

/**
 * As `read`, from a whole address.
 * @param {string} address
 * @returns {Promise<any>}
 * @throws {Error} with the server's sentence
 */
export async function readFrom(address) {
  const answer = await fetch(address, { cache: "no-store", signal: AbortSignal.timeout(10000) });
  if (!answer.ok) throw new Error(String((await answer.json().catch(() => ({}))).detail ?? answer.status));
  return answer.json();
}
