import { identity, may, roleOf, type Role } from "../api/identity";
import { useStore } from "../lib/store";

/** Whether who is signed in may do what that role may. */
export function useMay(needed: Role): boolean {
  const who = useStore(identity);
  return who.state === "signed-in" && may(roleOf(who.me), needed);
}
