/** Whether keys go into a field, so that they are no command. */
export function isTyping(event: KeyboardEvent): boolean {
  const target = event.target;
  return target instanceof Element && target.closest("input, textarea, select, [contenteditable]") !== null;
}
