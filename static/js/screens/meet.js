// On the way to a character: the newest conversation with it goes on, or the first begins.

import { call } from "../api.js";
import { go } from "../router.js";
import { begin } from "./conversations.js";

export async function meetScreen(page, roleId) {
  const query = { role_id: roleId, page: 1, page_size: 1 };
  const { list } = await call("GET", "/api/conversations", { query });
  if (list.length) go(`/c/${list[0].id}`, { replace: true });
  else await begin(Number(roleId), { replace: true });
}
