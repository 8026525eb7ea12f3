// 42 operations of the npm client @huggingface/hub against a server; run by js.py.
//
//     node js_client.mjs    with HUB_URL, HUB_TOKEN and HUB_CACHE set, in a folder with the client in node_modules
//
// Prints "RESULT" and JSON for each operation: its name, and the error if it failed. The client prints to the same output.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { createRequire } from "node:module";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const client = createRequire(join(process.cwd(), "package.json")).resolve("@huggingface/hub");
const hub = await import(pathToFileURL(client));
const common = { hubUrl: process.env.HUB_URL, accessToken: process.env.HUB_TOKEN };
const repo = { type: "model", name: "ada/js" };
const data = { type: "dataset", name: "ada/js-data" };
const small = new Blob(["hello"]);
const basic = randomBytes(1_500_000);
const xet = Buffer.concat([randomBytes(700_000), Buffer.alloc(500_000), randomBytes(700_000)]);
const safetensors = (() => {
	const header = Buffer.from(JSON.stringify({ w: { dtype: "F32", shape: [2, 3], data_offsets: [0, 24] } }));
	const length = Buffer.alloc(8);
	length.writeBigUInt64LE(BigInt(header.length));
	return Buffer.concat([length, header, Buffer.alloc(24)]);
})();

const bytes = async (blob) => Buffer.from(await blob.arrayBuffer());
const all = async (generator) => {
	const found = [];
	for await (const item of generator) found.push(item);
	return found;
};
const fails = async (promise, status) =>
	assert.rejects(promise, (error) => {
		assert.equal(error.statusCode, status);
		return true;
	});
const file = (path, content) => ({ path, content: content instanceof Blob ? content : new Blob([content]) });
const upload = (path, content, more = {}) => hub.uploadFile({ ...common, repo, file: file(path, content), ...more });
const download = (path, more = {}) => hub.downloadFile({ ...common, repo, path, ...more });
const names = async (more = {}) => (await all(hub.listFiles({ ...common, repo, recursive: true, ...more }))).map((item) => item.path);

const operations = {
	"create a model": async () => assert.match((await hub.createRepo({ ...common, repo })).repoUrl, /ada\/js$/),
	"create a private dataset with files and a licence": async () => {
		const files = [{ path: "first.txt", content: small }];
		await hub.createRepo({ ...common, repo: data, private: true, license: "mit", files });
		assert.equal(await (await hub.downloadFile({ ...common, repo: data, path: "first.txt" })).text(), "hello");
	},
	"create again": () => fails(hub.createRepo({ ...common, repo }), 409),
	"create a space": () => hub.createRepo({ ...common, repo: { type: "space", name: "ada/js-space" }, sdk: "static" }),
	"a repository exists": async () => {
		assert.equal(await hub.repoExists({ ...common, repo }), true);
		assert.equal(await hub.repoExists({ ...common, repo: "ada/absent" }), false);
	},
	"who am I": async () => assert.equal((await hub.whoAmI(common)).name, "ada"),
	"check access": () => hub.checkRepoAccess({ ...common, repo: data }),
	"access is refused": () => fails(hub.checkRepoAccess({ hubUrl: common.hubUrl, repo: data }), 401),
	"upload a small file": () => upload("small.txt", small),
	"upload an empty file": () => upload("empty.txt", new Blob([])),
	"upload a binary file by LFS": () => upload("basic.bin", basic, { useXet: false }),
	"upload a binary file by Xet": () => upload("xet.bin", xet, { useXet: true }),
	"upload a binary file again": () => upload("again.bin", basic, { useXet: false }),
	"upload several files": async () => {
		const files = [file("many/a.txt", "a"), file("many/b.txt", "b"), file("many/c.bin", randomBytes(5000))];
		await hub.uploadFiles({ ...common, repo, files, commitTitle: "several" });
	},
	"upload with progress": async () => {
		const files = [file("progress.bin", randomBytes(300_000)), file("progress.txt", "text")];
		const events = await all(hub.uploadFilesWithProgress({ ...common, repo, files }));
		assert.ok(events.some((event) => event.event === "phase" && event.phase === "committing"));
	},
	"upload to a path with spaces and accents": () => upload("da\u00df ist/ein p\u00e4th 1.txt", small),
	"upload a safetensors file": () => upload("model.safetensors", safetensors),
	"commit additions and a deletion": async () => {
		const operations = [
			{ operation: "addOrUpdate", ...file("small.txt", "changed") },
			{ operation: "delete", path: "empty.txt" },
		];
		const made = await hub.commit({ ...common, repo, operations, title: "both", description: "at once" });
		assert.match(made.commit.oid, /^[0-9a-f]{40}$/);
	},
	"commit on an outdated parent": async () => {
		const parentCommit = (await all(hub.listCommits({ ...common, repo }))).at(-1).oid;
		await fails(upload("late.txt", small, { parentCommit }), 412);
	},
	"open a pull request": async () => {
		const made = await upload("proposed.txt", small, { isPullRequest: true });
		assert.match(made.pullRequestUrl, /\/discussions\/1$/);
		assert.equal(await (await download("proposed.txt", { revision: "refs/pr/1" })).text(), "hello");
	},
	"list files": async () => {
		const found = await all(hub.listFiles({ ...common, repo }));
		assert.ok(found.some((item) => item.path === "many" && item.type === "directory"));
	},
	"list files below a folder, with commits": async () => {
		const found = await all(hub.listFiles({ ...common, repo, path: "many", recursive: true, expand: true }));
		assert.deepEqual(found.map((item) => item.path), ["many/a.txt", "many/b.txt", "many/c.bin"]);
		assert.equal(found[0].lastCommit.title, "several");
	},
	"a file exists": async () => {
		assert.equal(await hub.fileExists({ ...common, repo, path: "small.txt" }), true);
		assert.equal(await hub.fileExists({ ...common, repo, path: "empty.txt" }), false);
	},
	"download information": async () => {
		const found = await hub.fileDownloadInfo({ ...common, repo, path: "basic.bin" });
		assert.equal(found.size, basic.length);
		assert.equal(found.etag, `"${createHash("sha256").update(basic).digest("hex")}"`);
	},
	"download a small file": async () => assert.equal(await (await download("small.txt")).text(), "changed"),
	"download a file sent by LFS": async () => assert.deepEqual(await bytes(await download("basic.bin")), basic),
	"download a file sent by Xet": async () => assert.deepEqual(await bytes(await download("xet.bin")), xet),
	"download a range": async () => {
		assert.deepEqual(await bytes((await download("xet.bin")).slice(1000, 5000)), xet.subarray(1000, 5000));
	},
	"download a pointer": async () => assert.match(await (await download("basic.bin", { raw: true })).text(), /^version https:/),
	"download an absent file": async () => assert.equal(await download("absent.txt"), null),
	"paths": async () => {
		const found = await hub.pathsInfo({ ...common, repo, paths: ["small.txt", "basic.bin", "absent"], expand: true });
		assert.deepEqual(found.map((item) => item.path), ["small.txt", "basic.bin"]);
		assert.equal(found[1].lfs.size, basic.length);
	},
	"commits": async () => {
		const found = await all(hub.listCommits({ ...common, repo, batchSize: 3 }));
		assert.equal(await hub.countCommits({ ...common, repo }), found.length);
		assert.equal(found[0].title, "both");
	},
	"create a branch": async () => {
		await hub.createBranch({ ...common, repo, branch: "dev" });
		await upload("dev.txt", small, { branch: "dev" });
		assert.ok((await names({ revision: "dev" })).includes("dev.txt"));
		assert.ok(!(await names()).includes("dev.txt"));
	},
	"overwrite a branch": async () => {
		await hub.createBranch({ ...common, repo, branch: "dev", revision: "main", overwrite: true });
		assert.ok(!(await names({ revision: "dev" })).includes("dev.txt"));
	},
	"delete a branch": async () => {
		await hub.deleteBranch({ ...common, repo, branch: "dev" });
		await fails(all(hub.listFiles({ ...common, repo, revision: "dev" })), 404);
	},
	"delete a file": async () => {
		await hub.deleteFile({ ...common, repo, path: "many/a.txt" });
		assert.equal(await hub.fileExists({ ...common, repo, path: "many/a.txt" }), false);
	},
	"delete several files": async () => {
		await hub.deleteFiles({ ...common, repo, paths: ["many/b.txt", "many/c.bin"] });
		assert.ok(!(await names()).some((path) => path.startsWith("many")));
	},
	"list and describe models": async () => {
		const found = await all(hub.listModels({ ...common, search: { owner: "ada", query: "js" } }));
		assert.deepEqual(found.map((item) => item.name), ["ada/js"]);
		assert.equal((await hub.modelInfo({ ...common, name: "ada/js" })).name, "ada/js");
	},
	"list and describe datasets": async () => {
		const found = await all(hub.listDatasets({ ...common, search: { owner: "ada" } }));
		assert.deepEqual(found.map((item) => [item.name, item.private]), [["ada/js-data", true]]);
		assert.equal((await hub.datasetInfo({ ...common, name: "ada/js-data" })).name, "ada/js-data");
	},
	"metadata of a safetensors file": async () => {
		const found = await hub.parseSafetensorsMetadata({ ...common, repo: "ada/js", computeParametersCount: true });
		assert.deepEqual(found.parameterCount, { F32: 6 });
	},
	"download a snapshot": async () => {
		const folder = await hub.snapshotDownload({ ...common, repo, cacheDir: process.env.HUB_CACHE });
		assert.deepEqual(await readFile(join(folder, "xet.bin")), xet);
	},
	"delete a repository": async () => {
		await hub.deleteRepo({ ...common, repo });
		assert.equal(await hub.repoExists({ ...common, repo }), false);
	},
};

for (const [name, operation] of Object.entries(operations)) {
	let problem = null;
	try {
		await operation();
	} catch (error) {
		problem = `${error.statusCode ?? ""} ${error.stack ?? error}`.trim();
	}
	console.log(`RESULT ${JSON.stringify({ name, problem })}`);
}
