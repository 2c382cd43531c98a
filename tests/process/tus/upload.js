// Uploads a file with tus-js-client, breaks off in the middle, and goes on with a new upload object. Prints the URL.
import { createReadStream, statSync } from "node:fs";
import * as tus from "tus-js-client";

const [, , endpoint, key, path] = process.argv;
const size = statSync(path).size;
const options = (more) => ({
  endpoint,
  headers: { "X-API-Key": key },
  uploadSize: size,
  chunkSize: 4 * 1024 * 1024,
  retryDelays: [0, 200, 1000, 2000],
  metadata: { filename: "tus.csv", filetype: "text/csv" },
  ...more,
});

const half = new Promise((done, fail) => {
  const upload = new tus.Upload(
    createReadStream(path),
    options({
      onError: fail,
      onProgress: (sent) => {
        if (sent > size / 2) upload.abort().then(() => done(upload.url));
      },
    }),
  );
  upload.start();
});

const url = await half;
await new Promise((done, fail) => {
  let first = true;
  const upload = new tus.Upload(
    createReadStream(path),
    options({
      uploadUrl: url,
      onError: fail,
      onSuccess: done,
      onChunkComplete: (_, accepted) => {
        if (first) console.error(`went on; ${accepted} bytes are there`);
        first = false;
      },
    }),
  );
  upload.start();
});
console.log(url);
