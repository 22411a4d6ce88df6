// The same request for a terminal and for programs.

import { key } from "./server";
import type { Tensor, Value } from "./types";

export interface Snippet {
  name: string;
  text: string;
}

const NUMPY: Record<string, string> = {
  FP16: "float16", FP32: "float32", FP64: "float64", BOOL: "bool_",
  INT8: "int8", INT16: "int16", INT32: "int32", INT64: "int64",
  UINT8: "uint8", UINT16: "uint16", UINT32: "uint32", UINT64: "uint64",
};

const CONTENTS: Record<string, string> = {
  BOOL: "bool_contents", INT8: "int_contents", INT16: "int_contents", INT32: "int_contents",
  INT64: "int64_contents", UINT8: "uint_contents", UINT16: "uint_contents", UINT32: "uint_contents",
  UINT64: "uint64_contents", FP32: "fp32_contents", FP64: "fp64_contents", BYTES: "bytes_contents",
};

/** `text` as one word of a shell. */
const quote = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;

export function snippets(model: string, inputs: Tensor[]): Snippet[] {
  const { origin, host } = location;
  const body = JSON.stringify({ inputs });
  const locked = key.value !== "";
  const curl = [
    `curl ${quote(`${origin}/v2/models/${encodeURIComponent(model)}/infer`)} \\`,
    ...(locked ? [`  --header "Authorization: Bearer $MODELSHIP_KEY" \\`] : []),
    `  --json ${quote(body)}`,
  ].join("\n");
  const made: Snippet[] = [
    { name: "curl", text: curl },
    { name: "Python", text: python(model, inputs, host, locked) },
  ];
  const typed = inputs.every((input) => CONTENTS[input.datatype]);
  if (typed) made.push({ name: "gRPC", text: grpc(model, inputs, host, locked) });
  return made;
}

function python(model: string, inputs: Tensor[], host: string, locked: boolean): string {
  const secure = location.protocol === "https:" ? ", ssl=True" : "";
  const lines = ["# pip install 'tritonclient[http]'", "import numpy as np"];
  if (locked) lines.push("import os");
  lines.push("import tritonclient.http as http", "", `client = http.InferenceServerClient("${host}"${secure})`, "inputs = []");
  for (const input of inputs) {
    const dtype = NUMPY[input.datatype] ? `np.${NUMPY[input.datatype]}` : "np.object_";
    lines.push(
      `values = np.array(${literal(input.data)}, dtype=${dtype}).reshape(${JSON.stringify(input.shape)})`,
      `inputs.append(http.InferInput(${JSON.stringify(input.name)}, list(values.shape), "${input.datatype}"))`,
      `inputs[-1].set_data_from_numpy(values)`,
    );
  }
  const headers = locked ? `, headers={"Authorization": "Bearer " + os.environ["MODELSHIP_KEY"]}` : "";
  lines.push(
    `answer = client.infer(${JSON.stringify(model)}, inputs${headers})`,
    `for output in answer.get_response()["outputs"]:`,
    `    print(output["name"], answer.as_numpy(output["name"]))`,
  );
  return lines.join("\n");
}

function literal(data: Value[]): string {
  const said = data.map((value) => {
    if (typeof value === "boolean") return value ? "True" : "False";
    return typeof value === "string" ? `${JSON.stringify(value)}.encode()` : String(value);
  });
  return `[${said.join(", ")}]`;
}

function grpc(model: string, inputs: Tensor[], host: string, locked: boolean): string {
  const message = {
    model_name: model,
    inputs: inputs.map((input) => ({
      name: input.name,
      datatype: input.datatype,
      shape: input.shape,
      contents: {
        [CONTENTS[input.datatype] ?? ""]:
          input.datatype === "BYTES" ? input.data.map((value) => base64(String(value))) : input.data,
      },
    })),
  };
  const plain = location.protocol === "https:" ? "" : " -plaintext";
  const header = locked ? ` -H "authorization: Bearer $MODELSHIP_KEY"` : "";
  return `grpcurl${plain}${header} -d ${quote(JSON.stringify(message))} \\\n  ${host} inference.GRPCInferenceService/ModelInfer`;
}

function base64(text: string): string {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}
