// The clip stays in the browser and is sent again with each request, so that the server can delete it with each response.
window.msma = {
  clip: null,
  turn: 0,

  // The file chooser reports each clip by "change", and by "upload" where it was chosen there.
  listen(chooser, trigger) {
    const input = chooser.querySelector("input");
    this.tell = (message) => (chooser.querySelector("[role=status]").textContent = message);
    this.use = (clip, message = "") => {
      this.clip = clip;
      this.tell(message);
      trigger("change");
    };
    this.empty = () => (input.value = "");
    input.addEventListener("change", () => {
      const file = input.files[0] ?? null;
      const large = file && file.size > Number(input.dataset.maxBytes);
      if (large) this.empty();
      this.use(large ? null : file, large ? `${file.name} is larger than ${input.dataset.limit}; cut it.` : "");
      trigger("upload");
    });
  },

  // What was recorded is on the server already: it is read back, and deleted there.
  async take(recorded) {
    const reply = await fetch(recorded.url);
    if (!reply.ok) return this.use(null, `The recording cannot be read back (${reply.status}); record again.`);
    const clip = new File([await reply.blob()], recorded.orig_name || "clip");
    for (const player of document.querySelectorAll("#record video")) player.src = URL.createObjectURL(clip);
    await fetch(recorded.url, { method: "DELETE" });
    this.empty();
    this.use(clip);
  },

  async send() {
    for (const shown of document.querySelectorAll("#prediction, #comparison")) shown.setAttribute("aria-live", "polite");
    if (!this.clip) return null;
    const form = new FormData();
    form.append("files", this.clip, this.clip.name);
    this.tell(`Sending ${this.clip.name} …`);
    try {
      const reply = await fetch("gradio_api/upload", { method: "POST", body: form });
      if (!reply.ok) throw new Error(await reply.text());
      const [path] = await reply.json();
      this.tell("");
      return { path, orig_name: this.clip.name, meta: { _type: "gradio.FileData" } };
    } catch (error) {
      this.tell(`${this.clip.name} was not sent: ${error.message}`);
      throw error;
    }
  },

  // Choices may follow each other quickly: what a later one has overtaken is asked without anything in it, and the server
  // leaves the page as it is.
  async sendLast(choices) {
    const turn = ++this.turn;
    await new Promise((done) => setTimeout(done, 200));
    const sent = turn === this.turn ? await this.send() : null;
    if (turn === this.turn) return [sent, ...choices];
    if (sent) await fetch(`gradio_api/file=${sent.path}`, { method: "DELETE" });
    return [null, ...choices.map(() => null)];
  },
};
