/** A column where there is room for one, and a modal dialog where there is not: the browser then holds the focus in it. */

import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { narrow } from "../state/layout.ts";
import { CloseIcon } from "./icons.tsx";

interface Props {
  label: string;
  side: "left" | "right" | "bottom";
  /** Whether the dialog is open; a column always is. */
  open: boolean;
  onClose: () => void;
  children: ComponentChildren;
}

export function Panel({ label, side, open, onClose, children }: Props) {
  if (!narrow.value) return <aside class={`panel ${side}`} aria-label={label}>{children}</aside>;
  return open ? <Drawer {...{ label, side, onClose, children }} /> : null;
}

function Drawer({ label, side, onClose, children }: Omit<Props, "open">) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog
      ref={dialog}
      class={`panel drawer ${side}`}
      aria-label={label}
      onClose={onClose}
      onClick={(event) => event.target === event.currentTarget && event.currentTarget.close()}
    >
      <div class="drawer-body">
        <button class="icon-button drawer-close" aria-label="Close" onClick={() => dialog.current?.close()}>
          <CloseIcon />
        </button>
        {children}
      </div>
    </dialog>
  );
}
