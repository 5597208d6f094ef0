/* Runs before Streamlit's own scripts. When the sign-in ends the server closes the websocket with
   4401 and answers 401: the page then goes to the sign-in page instead of trying for ever. When the
   connection is lost for other reasons it says so, in place of Streamlit's English dialog. */
(function () {
  "use strict";

  const SIGN_IN_ENDED = 4401;
  const PATIENCE_MS = 2500;
  const TEXTS = {
    en: "The connection to the server is lost. Trying again ...",
    zh: "与服务器的连接已断开，正在重新连接……",
  };

  let leaving = false;
  let waiting = 0;
  let notice = null;

  window.prerenderReady = false;
  window.__streamlit = { BACKEND_BASE_URL: `${location.origin}/` };

  function leave() {
    if (leaving) return;
    leaving = true;
    const here = location.pathname + location.search;
    location.replace(`/login?ended=1&next=${encodeURIComponent(here)}`);
  }

  function lost() {
    if (leaving || waiting || notice) return;
    waiting = setTimeout(show, PATIENCE_MS);
  }

  function show() {
    waiting = 0;
    notice = document.createElement("div");
    notice.setAttribute("role", "status");
    notice.textContent = document.documentElement.lang === "en" ? TEXTS.en : TEXTS.zh;
    Object.assign(notice.style, {
      position: "fixed", top: "0", left: "50%", transform: "translateX(-50%)", zIndex: "1000001",
      maxWidth: "calc(100vw - 24px)", boxSizing: "border-box", padding: "8px 16px",
      borderRadius: "0 0 4px 4px", background: "#7a4b00", color: "#ffffff",
      font: "15px 'Microsoft YaHei', 'PingFang SC', 'Noto Sans CJK SC', 'SimHei', sans-serif",
    });
    document.body.append(notice);
  }

  function restored() {
    clearTimeout(waiting);
    waiting = 0;
    if (notice) notice.remove();
    notice = null;
  }

  const Plain = window.WebSocket;
  window.WebSocket = class extends Plain {
    constructor(...given) {
      super(...given);
      this.addEventListener("open", restored);
      this.addEventListener("close", (event) =>
        event.code === SIGN_IN_ENDED ? leave() : lost());
    }
  };

  const ask = window.fetch;
  window.fetch = async function (...given) {
    const answer = await ask.apply(this, given);
    if (answer.status === 401) leave();
    return answer;
  };

  /* Who signs out here is on the way to the sign-in page already. */
  document.addEventListener("submit", (event) => {
    if (new URL(event.target.action).pathname === "/logout") leaving = true;
  }, true);
  window.addEventListener("pagehide", () => { leaving = true; });
  window.addEventListener("pageshow", () => { leaving = false; });
})();
