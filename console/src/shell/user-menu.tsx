import { useEffect, useRef, useState } from "preact/hooks";
import { signOut } from "../api/auth";
import type { Me } from "../api/identity";
import { Icon } from "../ui/icon";
import { sayError } from "../ui/toast";
import { PasswordDialog } from "./password-dialog";

export function UserMenu({ me }: { me: Me }) {
  const [isOpen, setOpen] = useState(false);
  const [isChanging, setChanging] = useState(false);
  const menu = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!isOpen) return;
    const onClick = (event: MouseEvent) => {
      if (!menu.current?.contains(event.target as Node)) setOpen(false);
    };
    const onKey = (event: KeyboardEvent) => event.key === "Escape" && setOpen(false);
    document.addEventListener("click", onClick);
    document.addEventListener("keydown", onKey);
    return () => {
      document.removeEventListener("click", onClick);
      document.removeEventListener("keydown", onKey);
    };
  }, [isOpen]);
  if (!me.user) return null;
  const leave = (isEverywhere: boolean) => void signOut(isEverywhere).catch(sayError);
  return (
    <div class="menu" ref={menu}>
      <button
        type="button"
        class="button quiet square"
        aria-label={`Signed in as ${me.user.name}`}
        aria-expanded={isOpen}
        onClick={() => setOpen(!isOpen)}
      >
        <Icon name="client" />
      </button>
      {isOpen && (
        <div class="menu-list">
          <div class="who">
            {me.user.name} · {me.user.role}
          </div>
          <button
            type="button"
            onClick={() => {
              setOpen(false);
              setChanging(true);
            }}
          >
            <Icon name="key" /> Change the password
          </button>
          <hr />
          <button type="button" onClick={() => leave(false)}>
            <Icon name="out" /> Sign out
          </button>
          <button type="button" onClick={() => leave(true)}>
            <Icon name="out" /> Sign out everywhere
          </button>
        </div>
      )}
      {isChanging && <PasswordDialog onClose={() => setChanging(false)} />}
    </div>
  );
}
