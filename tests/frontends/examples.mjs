// One of the examples of docs/examples, asked like a page would; prints what it drew, as JSON.
// Arguments: the folder of the examples, a protocol, the service's address, a token, and as JSON
// {questions, answers: to what the copilot asks, leave: after the first text}.

const [, , folder, protocol, url, token, planText] = process.argv;
const plan = JSON.parse(planText);
const { ask, conversation } = await import(`${folder}/${protocol}.mjs`);

const complaints = [];
for (const level of ["warn", "error"]) console[level] = (...words) => complaints.push(words.map(String).join(" "));

const answers = [...plan.answers];
const talk = conversation();
const runs = [];
for (const question of plan.questions) {
  const leaving = new AbortController();
  const run = { texts: {}, steps: [], blocks: [], questions: [], forgotten: [] };
  const screen = {
    text(id, delta) {
      run.texts[id] = (run.texts[id] ?? "") + delta;
      if (plan.leave) leaving.abort();
    },
    step: (_id, told) => run.steps.push(told),
    block: (_id, drawn) => run.blocks.push(drawn),
    forget: (ids) => run.forgotten.push(...ids),
    async choose(asked) {
      run.questions.push({ question: asked.question, options: asked.options });
      run.texts = {}; // ids begin anew
      return answers.shift();
    },
  };
  try {
    run.said = await ask({ url, token: async () => token }, talk, question, screen, leaving.signal);
  } catch (error) {
    run.error = { name: error.name, message: error.message, code: error.code };
  }
  runs.push(run);
}
process.stdout.write(JSON.stringify({ runs, complaints, kept: talk.messages.length }));
