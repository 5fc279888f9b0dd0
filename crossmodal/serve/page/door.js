// The question for the token, where a server wants one.

import * as api from "./api.js";
import { $ } from "./dom.js";

let entrance = null;

// resolves to whether the token was given; those who ask at once wait for one answer
export function enter() {
  entrance ??= askToken().finally(() => { entrance = null; });
  return entrance;
}

function askToken() {
  const door = $("#door"), token = $("#token"), refused = $("#refused");
  door.showModal();
  return new Promise((done) => {
    door.onclose = () => done(false);
    $("form", door).onsubmit = async (event) => {
      event.preventDefault();
      try {
        refused.textContent = await api.openSession(token.value) ?? "";
      } catch (error) {
        refused.textContent = error.message;
      }
      if (refused.textContent) return token.select();
      token.value = "";
      done(true);
      door.close();
    };
  });
}
