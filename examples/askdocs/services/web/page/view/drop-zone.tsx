/** The whole page takes files. While some are dragged over it, it says so. */

import { useEffect } from "preact/hooks";
import { upload } from "../state/documents.ts";
import { dragging, drawer, narrow } from "../state/layout.ts";

export function DropZone() {
  useEffect(() => {
    const listeners = { dragenter: onDragOver, dragover: onDragOver, dragleave: onDragLeave, drop: onDrop };
    for (const [type, listener] of Object.entries(listeners)) addEventListener(type, listener as EventListener);
    return () => {
      for (const [type, listener] of Object.entries(listeners)) removeEventListener(type, listener as EventListener);
    };
  }, []);
  if (!dragging.value) return null;
  return <div class="drop-zone"><p>Drop to add to the library</p></div>;
}

function onDragOver(event: DragEvent) {
  if (!event.dataTransfer?.types.includes("Files")) return;
  event.preventDefault();
  dragging.value = true;
}

function onDragLeave(event: DragEvent) {
  // Only leaving the window has nothing to enter.
  if (event.relatedTarget === null) dragging.value = false;
}

function onDrop(event: DragEvent) {
  if (!event.dataTransfer?.types.includes("Files")) return;
  event.preventDefault();
  dragging.value = false;
  if (narrow.value) drawer.value = "documents";
  upload(event.dataTransfer.files);
}
