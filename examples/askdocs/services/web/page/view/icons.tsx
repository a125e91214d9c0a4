/** Line icons, drawn on a grid of 20. They say nothing to a screen reader: the button around them has the words. */

import type { ComponentChildren } from "preact";

function Icon({ children }: { children: ComponentChildren }) {
  return <svg class="icon" viewBox="0 0 20 20" aria-hidden="true">{children}</svg>;
}

export const MenuIcon = () => <Icon><path d="M3.5 6h13M3.5 10h13M3.5 14h8" /></Icon>;
export const BooksIcon = () => <Icon><path d="M4 3.5h3.5v13H4zM7.5 3.5H11v13H7.5zM11.4 5l3.2-.8 2.6 11.8-3.2.8z" /></Icon>;
export const CloseIcon = () => <Icon><path d="m5 5 10 10M15 5 5 15" /></Icon>;
export const PlusIcon = () => <Icon><path d="M10 4v12M4 10h12" /></Icon>;
export const SendIcon = () => <Icon><path d="M10 16V4M5 9l5-5 5 5" /></Icon>;
export const StopIcon = () => <Icon><rect x="5.5" y="5.5" width="9" height="9" rx="1.5" class="filled" /></Icon>;
export const TrashIcon = () => <Icon><path d="M3.5 5.5h13M8 5.5v-2h4v2M5.5 5.5l.7 11h7.6l.7-11" /></Icon>;
