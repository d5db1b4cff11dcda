// The clip stays in the browser: what was uploaded is read back once, and sent anew with each question, so that the
// server can delete it with each answer.
window.msma = {
  clip: null,

  async keep(file) {
    if (!file) return [null];
    const reply = await fetch(file.url);
    if (!reply.ok) throw new Error(`the clip cannot be read back (${reply.status}); choose it again`);
    this.clip = new File([await reply.blob()], file.orig_name || "clip");
    for (const player of document.querySelectorAll("#record video")) player.src = URL.createObjectURL(this.clip);
    return [file];
  },

  forget() {
    this.clip = null;
  },

  async send() {
    for (const told of document.querySelectorAll("#answer, #comparison")) told.setAttribute("aria-live", "polite");
    if (!this.clip) return null;
    const form = new FormData();
    form.append("files", this.clip, this.clip.name);
    const reply = await fetch("gradio_api/upload", { method: "POST", body: form });
    if (!reply.ok) throw new Error(await reply.text());
    const [path] = await reply.json();
    return { path, orig_name: this.clip.name, meta: { _type: "gradio.FileData" } };
  },
};
