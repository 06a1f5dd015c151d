// Files can be dropped anywhere on the page: they take the place of those chosen in the form.

const hasFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");

/** Call `onFiles` with the files that are dropped on the page. `zone` shows where they go. */
export function acceptDrops(zone, onFiles) {
  let depth = 0;
  const mark = (isOver) => zone.classList.toggle("drop-here", isOver);
  addEventListener("dragenter", (event) => {
    if (!hasFiles(event)) return;
    depth += 1;
    mark(true);
  });
  addEventListener("dragleave", (event) => {
    if (!hasFiles(event)) return;
    depth = Math.max(0, depth - 1);
    if (depth === 0) mark(false);
  });
  // Without this, browsers open the file in place of the page.
  addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
  addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    depth = 0;
    mark(false);
    if (event.dataTransfer.files.length) onFiles(event.dataTransfer.files);
  });
}
