-- An archive as metaloop wrote it at version 2 of its tables, as SQL: of a short run, parts of it.
PRAGMA application_id = 1835822960;
PRAGMA user_version = 2;
BEGIN TRANSACTION;
CREATE TABLE artefacts (
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES runs (id),
    name TEXT NOT NULL,
    media_type TEXT NOT NULL,             -- image/png
    caption TEXT NOT NULL,
    content BLOB NOT NULL
);
CREATE TABLE candidates (
    id INTEGER PRIMARY KEY,
    identity TEXT NOT NULL UNIQUE,
    json TEXT NOT NULL,                   -- core.records.to_json
    program TEXT,                         -- source of a generated learner
    behaviour TEXT,                       -- hash of what a generated learner does on probes
    operator TEXT NOT NULL,               -- what made it: catalogue, mutate slot, crossover, ...
    run INTEGER REFERENCES runs (id)
);
INSERT INTO "candidates" VALUES(1,'b908e0b6af9509da','{"data":{"families":[],"generators":[],"original_share":1.0},"learner":{"name":"logistic_regression","options":{"inverse_strength":10.0}},"net":{"name":"raw","options":{"view":"raw"}},"plan":{"augmentation":{"name":"none","options":{}},"averaging":0.0,"batch_size":128,"class_loss_weight":1.0,"gradient_clip":0.0,"learning_rate":0.003,"matrix_rate":0.03,"num_tasks":1,"optimiser":"adamw","precision":"float32","queries":15,"schedule":"cosine","shots":1,"style":"none","warmup":0.05,"ways":5,"weight_decay":0.0001},"program":null}',NULL,NULL,'catalogue',1);
INSERT INTO "candidates" VALUES(2,'b7853ba6024d65e0','{"data":{"families":[],"generators":[],"original_share":1.0},"learner":{"name":"nearest_centroid","options":{}},"net":{"name":"raw","options":{"view":"raw"}},"plan":{"augmentation":{"name":"none","options":{}},"averaging":0.0,"batch_size":128,"class_loss_weight":1.0,"gradient_clip":0.0,"learning_rate":0.003,"matrix_rate":0.03,"num_tasks":1,"optimiser":"adamw","precision":"float32","queries":15,"schedule":"cosine","shots":1,"style":"none","warmup":0.05,"ways":5,"weight_decay":0.0001},"program":null}',NULL,NULL,'catalogue',1);
INSERT INTO "candidates" VALUES(3,'d9d8f83a1ad3d64c','{"data":{"families":[],"generators":[],"original_share":1.0},"learner":{"name":"nearest_neighbour","options":{}},"net":{"name":"raw","options":{"view":"raw"}},"plan":{"augmentation":{"name":"none","options":{}},"averaging":0.0,"batch_size":128,"class_loss_weight":1.0,"gradient_clip":0.0,"learning_rate":0.003,"matrix_rate":0.03,"num_tasks":1,"optimiser":"adamw","precision":"float32","queries":15,"schedule":"cosine","shots":1,"style":"none","warmup":0.05,"ways":5,"weight_decay":0.0001},"program":null}',NULL,NULL,'catalogue',1);
INSERT INTO "candidates" VALUES(4,'0650270fd57b8e82','{"data":{"families":[],"generators":[],"original_share":1.0},"learner":{"name":"ridge","options":{"initial_lambda":0.1}},"net":{"name":"raw","options":{"view":"unit"}},"plan":{"augmentation":{"name":"none","options":{}},"averaging":0.0,"batch_size":128,"class_loss_weight":1.0,"gradient_clip":0.0,"learning_rate":0.003,"matrix_rate":0.03,"num_tasks":1,"optimiser":"adamw","precision":"float32","queries":15,"schedule":"cosine","shots":1,"style":"none","warmup":0.05,"ways":5,"weight_decay":0.0001},"program":null}',NULL,NULL,'catalogue',1);
INSERT INTO "candidates" VALUES(5,'3a67d7b6cd58e7d2','{"data":{"families":[],"generators":[],"original_share":1.0},"learner":{"name":"anil","options":{}},"net":{"name":"mlp","options":{"depth":2,"width":256}},"plan":{"augmentation":{"name":"none","options":{}},"averaging":0.0,"batch_size":128,"class_loss_weight":1.0,"gradient_clip":10.0,"learning_rate":0.002,"matrix_rate":0.03,"num_tasks":4,"optimiser":"adam","precision":"float32","queries":5,"schedule":"cosine","shots":1,"style":"episodes","warmup":0.05,"ways":3,"weight_decay":0.0},"program":null}',NULL,NULL,'catalogue',1);
INSERT INTO "candidates" VALUES(6,'1184a85606fde291','{"data":{"families":[],"generators":[],"original_share":1.0},"learner":{"name":"simpleshot","options":{}},"net":{"name":"mlp","options":{"depth":2,"width":256}},"plan":{"augmentation":{"name":"none","options":{}},"averaging":0.0,"batch_size":128,"class_loss_weight":1.0,"gradient_clip":0.0,"learning_rate":0.002,"matrix_rate":0.03,"num_tasks":1,"optimiser":"adamw","precision":"fastest","queries":15,"schedule":"cosine","shots":1,"style":"classes","warmup":0.05,"ways":5,"weight_decay":0.0001},"program":null}',NULL,NULL,'catalogue',1);
INSERT INTO "candidates" VALUES(15,'b3a49dc19d2bb9c1','{"data":{"families":[],"generators":[],"original_share":1.0},"learner":{"name":"protonet","options":{}},"net":{"name":"mlp","options":{"depth":2,"width":256}},"plan":{"augmentation":{"name":"none","options":{}},"averaging":0.0,"batch_size":128,"class_loss_weight":1.0,"gradient_clip":0.0,"learning_rate":0.002,"matrix_rate":0.03,"num_tasks":1,"optimiser":"adamw","precision":"fastest","queries":4,"schedule":"cosine","shots":1,"style":"episodes","warmup":0.05,"ways":36,"weight_decay":0.0001},"program":null}',NULL,NULL,'catalogue',1);
INSERT INTO "candidates" VALUES(16,'c3404d28bd6a8cfa','{"data":{"families":[],"generators":[],"original_share":1.0},"learner":{"name":"program","options":{"trunk":"protonet"}},"net":{"name":"mlp","options":{"depth":2,"width":256}},"plan":{"augmentation":{"name":"none","options":{}},"averaging":0.0,"batch_size":128,"class_loss_weight":1.0,"gradient_clip":0.0,"learning_rate":0.002,"matrix_rate":0.03,"num_tasks":1,"optimiser":"adamw","precision":"fastest","queries":4,"schedule":"cosine","shots":1,"style":"episodes","warmup":0.05,"ways":36,"weight_decay":0.0001},"program":"\ndef embed_map(x, center):\n    shifted = subtract(x, center)\n    return divide(shifted, norm(shifted, axis=1), axis=0)\n\ndef adapt(x, y):\n    sums = matmul(transpose(y), x)\n    counts = sum(y, axis=0)\n    return divide(sums, counts, axis=0)\n\ndef predict(x, w):\n    products = multiply(2.0, matmul(x, transpose(w)))\n    lengths_w = sum(square(w), axis=1)\n    lengths_x = sum(square(x), axis=1)\n    closeness = subtract(subtract(products, lengths_w), lengths_x, axis=0)\n    return multiply(10.0, closeness)\n"}','
def embed_map(x, center):
    shifted = subtract(x, center)
    return divide(shifted, norm(shifted, axis=1), axis=0)

def adapt(x, y):
    sums = matmul(transpose(y), x)
    counts = sum(y, axis=0)
    return divide(sums, counts, axis=0)

def predict(x, w):
    products = multiply(2.0, matmul(x, transpose(w)))
    lengths_w = sum(square(w), axis=1)
    lengths_x = sum(square(x), axis=1)
    closeness = subtract(subtract(products, lengths_w), lengths_x, axis=0)
    return multiply(10.0, closeness)
',NULL,'catalogue: centred',1);
INSERT INTO "candidates" VALUES(18,'493539cdee3353ce','{"data":{"families":[],"generators":[],"original_share":1.0},"learner":{"name":"program","options":{"trunk":"protonet"}},"net":{"name":"mlp","options":{"depth":2,"width":256}},"plan":{"augmentation":{"name":"none","options":{}},"averaging":0.0,"batch_size":128,"class_loss_weight":1.0,"gradient_clip":0.0,"learning_rate":0.002,"matrix_rate":0.03,"num_tasks":1,"optimiser":"adamw","precision":"fastest","queries":4,"schedule":"cosine","shots":1,"style":"episodes","warmup":0.05,"ways":36,"weight_decay":0.0001},"program":"\ndef adapt(x, y):\n    products = add(multiply(0.01, matmul(x, transpose(x))), 1.0)\n    weights = solve(add_diagonal(products, 1.0), y)\n    return matmul(transpose(x), weights), sum(weights, axis=0)\n\ndef predict(x, w, v):\n    outputs = add(multiply(0.01, matmul(x, w)), v)\n    return add(multiply(10.0, outputs), 0.0)\n"}','
def adapt(x, y):
    products = add(multiply(0.01, matmul(x, transpose(x))), 1.0)
    weights = solve(add_diagonal(products, 1.0), y)
    return matmul(transpose(x), weights), sum(weights, axis=0)

def predict(x, w, v):
    outputs = add(multiply(0.01, matmul(x, w)), v)
    return add(multiply(10.0, outputs), 0.0)
',NULL,'catalogue: ridge',1);
INSERT INTO "candidates" VALUES(23,'258491c85d61a7c7','{"data":{"families":[],"generators":[{"name":"mask","options":{"share":0.3}},{"name":"mix","options":{"share":0.3}},{"name":"permute_features","options":{"share":0.3}},{"name":"prior","options":{"kind":"gaussian"}},{"name":"sign","options":{"share":0.3}}],"original_share":0.5},"learner":{"name":"protonet","options":{}},"net":{"name":"mlp","options":{"depth":2,"width":256}},"plan":{"augmentation":{"name":"none","options":{}},"averaging":0.0,"batch_size":128,"class_loss_weight":1.0,"gradient_clip":0.0,"learning_rate":0.002,"matrix_rate":0.03,"num_tasks":1,"optimiser":"adamw","precision":"fastest","queries":4,"schedule":"cosine","shots":1,"style":"episodes","warmup":0.05,"ways":36,"weight_decay":0.0001},"program":null}',NULL,NULL,'data: add all',1);
INSERT INTO "candidates" VALUES(24,'490aed180f0efd6f','{"data":{"families":[],"generators":[{"name":"mask","options":{"share":0.3}},{"name":"mix","options":{"share":0.3}},{"name":"permute_features","options":{"share":0.3}},{"name":"prior","options":{"kind":"gaussian"}},{"name":"sign","options":{"share":0.3}}],"original_share":0.5},"learner":{"name":"program","options":{"trunk":"protonet"}},"net":{"name":"mlp","options":{"depth":2,"width":256}},"plan":{"augmentation":{"name":"none","options":{}},"averaging":0.0,"batch_size":128,"class_loss_weight":1.0,"gradient_clip":0.0,"learning_rate":0.002,"matrix_rate":0.03,"num_tasks":1,"optimiser":"adamw","precision":"fastest","queries":4,"schedule":"cosine","shots":1,"style":"episodes","warmup":0.05,"ways":36,"weight_decay":0.0001},"program":"\ndef embed_map(x, center):\n    shifted = subtract(x, center)\n    return divide(shifted, norm(shifted, axis=1), axis=0)\n\ndef adapt(x, y):\n    sums = matmul(transpose(y), x)\n    counts = sum(y, axis=0)\n    return divide(sums, counts, axis=0)\n\ndef predict(x, w):\n    products = multiply(2.0, matmul(x, transpose(w)))\n    lengths_w = sum(square(w), axis=1)\n    lengths_x = sum(square(x), axis=1)\n    closeness = subtract(subtract(products, lengths_w), lengths_x, axis=0)\n    return multiply(10.0, closeness)\n"}','
def embed_map(x, center):
    shifted = subtract(x, center)
    return divide(shifted, norm(shifted, axis=1), axis=0)

def adapt(x, y):
    sums = matmul(transpose(y), x)
    counts = sum(y, axis=0)
    return divide(sums, counts, axis=0)

def predict(x, w):
    products = multiply(2.0, matmul(x, transpose(w)))
    lengths_w = sum(square(w), axis=1)
    lengths_x = sum(square(x), axis=1)
    closeness = subtract(subtract(products, lengths_w), lengths_x, axis=0)
    return multiply(10.0, closeness)
',NULL,'data: add all',1);
INSERT INTO "candidates" VALUES(25,'3cc5c1e675a3b1a3','{"data":{"families":[],"generators":[{"name":"mask","options":{"share":0.3}},{"name":"mix","options":{"share":0.3}},{"name":"permute_features","options":{"share":0.3}},{"name":"prior","options":{"kind":"gaussian"}},{"name":"sign","options":{"share":0.3}}],"original_share":0.5},"learner":{"name":"program","options":{"trunk":"protonet"}},"net":{"name":"mlp","options":{"depth":2,"width":256}},"plan":{"augmentation":{"name":"none","options":{}},"averaging":0.0,"batch_size":128,"class_loss_weight":1.0,"gradient_clip":0.0,"learning_rate":0.002,"matrix_rate":0.03,"num_tasks":1,"optimiser":"adamw","precision":"fastest","queries":4,"schedule":"cosine","shots":1,"style":"episodes","warmup":0.05,"ways":36,"weight_decay":0.0001},"program":"\ndef adapt(x, y):\n    products = add(multiply(0.01, matmul(x, transpose(x))), 1.0)\n    weights = solve(add_diagonal(products, 1.0), y)\n    return matmul(transpose(x), weights), sum(weights, axis=0)\n\ndef predict(x, w, v):\n    outputs = add(multiply(0.01, matmul(x, w)), v)\n    return add(multiply(10.0, outputs), 0.0)\n"}','
def adapt(x, y):
    products = add(multiply(0.01, matmul(x, transpose(x))), 1.0)
    weights = solve(add_diagonal(products, 1.0), y)
    return matmul(transpose(x), weights), sum(weights, axis=0)

def predict(x, w, v):
    outputs = add(multiply(0.01, matmul(x, w)), v)
    return add(multiply(10.0, outputs), 0.0)
',NULL,'data: add all',1);
INSERT INTO "candidates" VALUES(26,'a6861c959cd018b2','{"data":{"families":[],"generators":[{"name":"mask","options":{"share":0.3}},{"name":"mix","options":{"share":0.3}},{"name":"permute_features","options":{"share":0.3}},{"name":"prior","options":{"kind":"gaussian"}},{"name":"sign","options":{"share":0.3}}],"original_share":0.5},"learner":{"name":"simpleshot","options":{}},"net":{"name":"mlp","options":{"depth":2,"width":256}},"plan":{"augmentation":{"name":"none","options":{}},"averaging":0.0,"batch_size":128,"class_loss_weight":1.0,"gradient_clip":0.0,"learning_rate":0.002,"matrix_rate":0.03,"num_tasks":1,"optimiser":"adamw","precision":"fastest","queries":15,"schedule":"cosine","shots":1,"style":"classes","warmup":0.05,"ways":5,"weight_decay":0.0001},"program":null}',NULL,NULL,'data: add all',1);
CREATE TABLE curves (
    trial INTEGER NOT NULL REFERENCES trials (id),
    position INTEGER NOT NULL,
    step INTEGER NOT NULL,
    wall_seconds REAL NOT NULL,
    loss REAL,
    value REAL,
    PRIMARY KEY (trial, position)
);
INSERT INTO "curves" VALUES(5,0,2,3.75092613629985862635e+01,8.04367959499359130859e-01,9.50303030303030205061e-01);
INSERT INTO "curves" VALUES(6,0,2,5.07193924000603146851e-01,1.56631565093994140625e+00,9.89393939393939381155e-01);
INSERT INTO "curves" VALUES(15,0,2,2.03146009989723097532e-02,1.19376444816589355468e+00,9.94848484848484648779e-01);
INSERT INTO "curves" VALUES(16,0,2,2.03146009989723097532e-02,1.19376444816589355468e+00,9.92424242424242541993e-01);
INSERT INTO "curves" VALUES(18,0,2,2.03146009989723097532e-02,1.19376444816589355468e+00,9.91212121212121211044e-01);
INSERT INTO "curves" VALUES(23,0,2,2.0299778001572121866e-02,1.23619771003723144531e+00,0.992348484848485);
INSERT INTO "curves" VALUES(24,0,2,2.0299778001572121866e-02,1.23619771003723144531e+00,9.76439393939393940335e-01);
INSERT INTO "curves" VALUES(25,0,2,2.0299778001572121866e-02,1.23619771003723144531e+00,9.75757575757575823516e-01);
INSERT INTO "curves" VALUES(26,0,2,2.47529740999925707001e+00,6.1784687042236328125e+00,0.984090909090909);
INSERT INTO "curves" VALUES(33,0,14,1.72840552000707248225e-01,3.53586114943027496337e-03,9.9030303030303035161e-01);
INSERT INTO "curves" VALUES(34,0,14,1.72840552000707248225e-01,3.53586114943027496337e-03,9.99545454545454514772e-01);
INSERT INTO "curves" VALUES(35,0,14,1.72840552000707248225e-01,3.53586114943027496337e-03,0.995151515151515);
INSERT INTO "curves" VALUES(36,0,14,1.45478212099988013505e+00,9.17206890881061553955e-03,9.97651515151515067003e-01);
INSERT INTO "curves" VALUES(39,0,14,1.75267582999367732554e-01,5.33956468105316162109e-01,9.9280303030303029832e-01);
INSERT INTO "curves" VALUES(40,0,14,1.75267582999367732554e-01,5.33956468105316162109e-01,9.9166666666666658525e-01);
INSERT INTO "curves" VALUES(41,0,14,1.75267582999367732554e-01,5.33956468105316162109e-01,9.92272727272727195213e-01);
INSERT INTO "curves" VALUES(45,0,26,2.59071145400048408191e+00,2.03384970518527552485e-05,9.89469696969696888011e-01);
INSERT INTO "curves" VALUES(46,0,26,2.59071145400048408191e+00,2.03384970518527552485e-05,9.97954545454545316474e-01);
INSERT INTO "curves" VALUES(47,0,26,2.59071145400048408191e+00,2.03384970518527552485e-05,9.93257575757575672525e-01);
CREATE TABLE data_sets (
    id INTEGER PRIMARY KEY,
    hash TEXT NOT NULL UNIQUE,            -- of content and parts
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    classes INTEGER NOT NULL,
    examples INTEGER NOT NULL,
    parts TEXT NOT NULL,                  -- JSON: part -> class names
    left_out TEXT NOT NULL                -- JSON: reason -> how many
);
INSERT INTO "data_sets" VALUES(1,'b7719f62ec374d75','toy','npz of arrays, vectors',16,192,'{"promotion":["class 14","class 15","class 5","class 8"],"search":["class 10","class 4","class 7","class 9"],"test":["class 0","class 11","class 2","class 3"],"train":["class 1","class 12","class 13","class 6"]}','{}');
CREATE TABLE episode_lists (
    id INTEGER PRIMARY KEY,
    list_hash TEXT NOT NULL UNIQUE,
    episodes INTEGER NOT NULL,
    width INTEGER NOT NULL,               -- units of one episode, -1 where it has fewer
    units BLOB NOT NULL                   -- which: core.packing, int64, episode by episode
);
INSERT INTO "episode_lists" VALUES(1,'e266cd99155bd254',50,3,X'789C9594390A00310C0397940B21FFFF6D8A753530489BC6201F920F729EEFADB17BEC3BF6C0BFE0DF12479C752D8EF55B9C3CC667F1C4D91FF9CD6FF986273F796D4F86279DC4D33EC9D7DE01F766BAAD5FCB63DD7487A6D7E6D0DEA3E9351D690EE9BE539EC5A539B63A398FF61FF8CBCB3A1773D305C5');
INSERT INTO "episode_lists" VALUES(2,'11e245c666b02931',50,3,X'789CA5943B0A40210C04C53220DEFFB6AFD06A60D8C8B309E226D9CDC71AE7EC6B176C5D3B812BC16FE02D0EEF0B77E6313CF319DE70D46DFCA8D7FC8C17F1AFBAAC8EA9FE96D7FA6878F34F7952FDC99FF81497BCA9CBE629F1B239B1BAFDD5CB778B633AAC2FDD3D4DFBD8EDBBCD6D773ED2FFF301A12B05C0');
CREATE TABLE jobs (
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES runs (id),
    number INTEGER NOT NULL,              -- in the order in which the loop thought of them
    work TEXT NOT NULL,                   -- baselines, train, invent, join, judge
    status TEXT NOT NULL,
    asked TEXT NOT NULL,                  -- JSON: what was proposed and why
    answered TEXT NOT NULL DEFAULT '{}',  -- JSON: what came of it, figures of trials apart
    message TEXT NOT NULL DEFAULT '',
    cpu_seconds REAL NOT NULL DEFAULT 0,
    wall_seconds REAL NOT NULL DEFAULT 0,
    started TEXT NOT NULL,
    ended TEXT
);
INSERT INTO "jobs" VALUES(1,1,0,'baselines','finished','{"arm":"","continues":false,"filtered_by":null,"line":0,"operator":"catalogue","parent":null,"recipe":"{\"data\":{\"families\":[],\"generators\":[],\"original_share\":1.0},\"learner\":{\"name\":\"logistic_regression\",\"options\":{\"inverse_strength\":10.0}},\"net\":{\"name\":\"raw\",\"options\":{\"view\":\"unit\"}},\"plan\":{\"augmentation\":{\"name\":\"none\",\"options\":{}},\"averaging\":0.0,\"batch_size\":128,\"class_loss_weight\":1.0,\"gradient_clip\":0.0,\"learning_rate\":0.003,\"matrix_rate\":0.03,\"num_tasks\":1,\"optimiser\":\"adamw\",\"precision\":\"float32\",\"queries\":15,\"schedule\":\"cosine\",\"shots\":1,\"style\":\"none\",\"warmup\":0.05,\"ways\":5,\"weight_decay\":0.0001},\"program\":null}","rung":0,"share":0.0,"trained":0.0}','{"flops":0.0,"members":[],"steps":0}','',3.227120201,2.26853709440001694019e+01,'2026-11-28T06:37:34.026+00:00','2026-11-28T06:38:54.716+00:00');
INSERT INTO "jobs" VALUES(2,1,1,'train','finished','{"arm":"","continues":false,"filtered_by":null,"line":1,"operator":"catalogue","parent":null,"recipe":"{\"data\":{\"families\":[],\"generators\":[],\"original_share\":1.0},\"learner\":{\"name\":\"anil\",\"options\":{}},\"net\":{\"name\":\"mlp\",\"options\":{\"depth\":2,\"width\":256}},\"plan\":{\"augmentation\":{\"name\":\"none\",\"options\":{}},\"averaging\":0.0,\"batch_size\":128,\"class_loss_weight\":1.0,\"gradient_clip\":10.0,\"learning_rate\":0.002,\"matrix_rate\":0.03,\"num_tasks\":4,\"optimiser\":\"adam\",\"precision\":\"float32\",\"queries\":5,\"schedule\":\"cosine\",\"shots\":1,\"style\":\"episodes\",\"warmup\":0.05,\"ways\":3,\"weight_decay\":0.0},\"program\":null}","rung":0,"share":0.0071428571428571435,"trained":0.0071428571428571435}','{"flops":97505280.0,"members":[],"steps":2}','',1.72235570199999976637e+00,4.02957474209997599254e+01,'2026-11-28T06:38:54.729+00:00','2026-11-28T06:39:35.042+00:00');
INSERT INTO "jobs" VALUES(3,1,2,'train','finished','{"arm":"","continues":false,"filtered_by":null,"line":2,"operator":"catalogue","parent":null,"recipe":"{\"data\":{\"families\":[],\"generators\":[],\"original_share\":1.0},\"learner\":{\"name\":\"simpleshot\",\"options\":{}},\"net\":{\"name\":\"mlp\",\"options\":{\"depth\":2,\"width\":256}},\"plan\":{\"augmentation\":{\"name\":\"none\",\"options\":{}},\"averaging\":0.0,\"batch_size\":128,\"class_loss_weight\":1.0,\"gradient_clip\":0.0,\"learning_rate\":0.002,\"matrix_rate\":0.03,\"num_tasks\":1,\"optimiser\":\"adamw\",\"precision\":\"fastest\",\"queries\":15,\"schedule\":\"cosine\",\"shots\":1,\"style\":\"classes\",\"warmup\":0.05,\"ways\":5,\"weight_decay\":0.0001},\"program\":null}","rung":0,"share":0.0071428571428571435,"trained":0.0071428571428571435}','{"flops":103809024.0,"members":[],"steps":2}','',3.75490690999999543464e-01,1.06302742240004590714e+01,'2026-11-28T06:39:35.085+00:00','2026-11-28T06:39:45.965+00:00');
INSERT INTO "jobs" VALUES(4,1,3,'train','finished','{"arm":"","continues":false,"filtered_by":null,"line":3,"operator":"catalogue","parent":null,"recipe":"{\"data\":{\"families\":[],\"generators\":[],\"original_share\":1.0},\"learner\":{\"name\":\"evolved_gradient\",\"options\":{}},\"net\":{\"name\":\"mlp\",\"options\":{\"depth\":2,\"width\":256}},\"plan\":{\"augmentation\":{\"name\":\"none\",\"options\":{}},\"averaging\":0.0,\"batch_size\":128,\"class_loss_weight\":1.0,\"gradient_clip\":10.0,\"learning_rate\":0.002,\"matrix_rate\":0.03,\"num_tasks\":4,\"optimiser\":\"adam\",\"precision\":\"float32\",\"queries\":5,\"schedule\":\"cosine\",\"shots\":1,\"style\":\"episodes\",\"warmup\":0.05,\"ways\":3,\"weight_decay\":0.0},\"program\":null}","rung":0,"share":0.0071428571428571435,"trained":0.0071428571428571435}','{"flops":193167360.0,"members":[],"steps":2}','',6.10555049999998544763e-01,6.40799187700031325221e+00,'2026-11-28T06:39:46.038+00:00','2026-11-28T06:39:52.558+00:00');
INSERT INTO "jobs" VALUES(5,1,4,'train','finished','{"arm":"","continues":false,"filtered_by":null,"line":4,"operator":"catalogue","parent":null,"recipe":"{\"data\":{\"families\":[],\"generators\":[],\"original_share\":1.0},\"learner\":{\"name\":\"fomaml\",\"options\":{}},\"net\":{\"name\":\"mlp\",\"options\":{\"depth\":2,\"width\":256}},\"plan\":{\"augmentation\":{\"name\":\"none\",\"options\":{}},\"averaging\":0.0,\"batch_size\":128,\"class_loss_weight\":1.0,\"gradient_clip\":10.0,\"learning_rate\":0.002,\"matrix_rate\":0.03,\"num_tasks\":4,\"optimiser\":\"adam\",\"precision\":\"float32\",\"queries\":5,\"schedule\":\"cosine\",\"shots\":1,\"style\":\"episodes\",\"warmup\":0.05,\"ways\":3,\"weight_decay\":0.0},\"program\":null}","rung":0,"share":0.0071428571428571435,"trained":0.0071428571428571435}','{"flops":96952320.0,"members":[],"steps":2}','',4.37661438999999319321e-01,5.25848452599893789738e+00,'2026-11-28T06:39:52.571+00:00','2026-11-28T06:39:58.010+00:00');
INSERT INTO "jobs" VALUES(15,1,14,'train','finished','{"arm":"continue","continues":true,"filtered_by":6,"line":8,"operator":"continue","parent":8,"recipe":"{\"data\":{\"families\":[],\"generators\":[{\"name\":\"mask\",\"options\":{\"share\":0.3}},{\"name\":\"mix\",\"options\":{\"share\":0.3}},{\"name\":\"permute_features\",\"options\":{\"share\":0.3}},{\"name\":\"prior\",\"options\":{\"kind\":\"gaussian\"}},{\"name\":\"sign\",\"options\":{\"share\":0.3}}],\"original_share\":0.5},\"learner\":{\"name\":\"protonet\",\"options\":{}},\"net\":{\"name\":\"mlp\",\"options\":{\"depth\":2,\"width\":256}},\"plan\":{\"augmentation\":{\"name\":\"none\",\"options\":{}},\"averaging\":0.0,\"batch_size\":128,\"class_loss_weight\":1.0,\"gradient_clip\":0.0,\"learning_rate\":0.002,\"matrix_rate\":0.03,\"num_tasks\":1,\"optimiser\":\"adamw\",\"precision\":\"fastest\",\"queries\":4,\"schedule\":\"cosine\",\"shots\":1,\"style\":\"episodes\",\"warmup\":0.05,\"ways\":36,\"weight_decay\":0.0001},\"program\":null}","rung":1,"share":0.1,"trained":0.10714285714285715}','{"flops":103219200.0,"members":[],"steps":14}','',2.68769895000000147433e-01,1.78141233399946941062e+00,'2026-11-28T06:41:53.691+00:00','2026-11-28T06:41:55.982+00:00');
INSERT INTO "jobs" VALUES(16,1,15,'judge','finished','{"contestants":["b908e0b6af9509da","c3404d28bd6a8cfa"],"episodes":100,"known":[0,0],"seed":0}','{"certain":false,"incumbent":"b908e0b6af9509da","node":0,"reasons":["paired difference -0.050 +/- 0.008 (+/- 0.167 for new classes) of program / mlp over logistic_regression / raw (1 and 5 shots): not certain for new classes, 1 compared"],"reference":[0,"b908e0b6af9509da"]}','',1.20658598900000058051e+00,6.75583286000073712784e+00,'2026-11-28T06:41:56.206+00:00','2026-11-28T06:42:03.053+00:00');
INSERT INTO "jobs" VALUES(17,1,16,'train','finished','{"arm":"continue","continues":true,"filtered_by":7,"line":10,"operator":"continue","parent":10,"recipe":"{\"data\":{\"families\":[],\"generators\":[{\"name\":\"mask\",\"options\":{\"share\":0.3}},{\"name\":\"mix\",\"options\":{\"share\":0.3}},{\"name\":\"permute_features\",\"options\":{\"share\":0.3}},{\"name\":\"prior\",\"options\":{\"kind\":\"gaussian\"}},{\"name\":\"sign\",\"options\":{\"share\":0.3}}],\"original_share\":0.5},\"learner\":{\"name\":\"ridge\",\"options\":{}},\"net\":{\"name\":\"mlp\",\"options\":{\"depth\":2,\"width\":256}},\"plan\":{\"augmentation\":{\"name\":\"none\",\"options\":{}},\"averaging\":0.0,\"batch_size\":128,\"class_loss_weight\":1.0,\"gradient_clip\":0.0,\"learning_rate\":0.002,\"matrix_rate\":0.03,\"num_tasks\":1,\"optimiser\":\"adamw\",\"precision\":\"fastest\",\"queries\":4,\"schedule\":\"cosine\",\"shots\":1,\"style\":\"episodes\",\"warmup\":0.05,\"ways\":20,\"weight_decay\":0.0001},\"program\":null}","rung":1,"share":0.1,"trained":0.10714285714285715}','{"flops":97624320.0,"members":[],"steps":14}','',0.337664242999999,4.42630348199963918887e+00,'2026-11-28T06:42:03.075+00:00','2026-11-28T06:42:07.703+00:00');
INSERT INTO "jobs" VALUES(18,1,17,'train','finished','{"arm":"continue","continues":true,"filtered_by":null,"line":6,"operator":"continue","parent":12,"recipe":"{\"data\":{\"families\":[],\"generators\":[],\"original_share\":1.0},\"learner\":{\"name\":\"protonet\",\"options\":{}},\"net\":{\"name\":\"mlp\",\"options\":{\"depth\":2,\"width\":256}},\"plan\":{\"augmentation\":{\"name\":\"none\",\"options\":{}},\"averaging\":0.0,\"batch_size\":128,\"class_loss_weight\":1.0,\"gradient_clip\":0.0,\"learning_rate\":0.002,\"matrix_rate\":0.03,\"num_tasks\":1,\"optimiser\":\"adamw\",\"precision\":\"fastest\",\"queries\":4,\"schedule\":\"cosine\",\"shots\":1,\"style\":\"episodes\",\"warmup\":0.05,\"ways\":36,\"weight_decay\":0.0001},\"program\":null}","rung":2,"share":0.1,"trained":0.20714285714285716}','{"flops":103219200.0,"members":[],"steps":26}','',3.04297282000000279822e-01,8.9549500129996886244e+00,'2026-11-28T06:42:07.783+00:00','2026-11-28T06:42:17.070+00:00');
INSERT INTO "jobs" VALUES(19,1,18,'invent','finished','{"arm":"","continues":false,"filtered_by":null,"line":18,"operator":"program: invented","parent":12,"recipe":"{\"data\":{\"families\":[],\"generators\":[],\"original_share\":1.0},\"learner\":{\"name\":\"protonet\",\"options\":{}},\"net\":{\"name\":\"mlp\",\"options\":{\"depth\":2,\"width\":256}},\"plan\":{\"augmentation\":{\"name\":\"none\",\"options\":{}},\"averaging\":0.0,\"batch_size\":128,\"class_loss_weight\":1.0,\"gradient_clip\":0.0,\"learning_rate\":0.002,\"matrix_rate\":0.03,\"num_tasks\":1,\"optimiser\":\"adamw\",\"precision\":\"fastest\",\"queries\":4,\"schedule\":\"cosine\",\"shots\":1,\"style\":\"episodes\",\"warmup\":0.05,\"ways\":36,\"weight_decay\":0.0001},\"program\":null}","rung":0,"share":0.03,"trained":0.03}','{"flops":null,"members":[],"steps":20}','',2.19645892599999825733e+00,5.34423284859985869843e+01,'2026-11-28T06:42:17.178+00:00','2026-11-28T06:43:11.009+00:00');
INSERT INTO "jobs" VALUES(20,1,19,'train','finished','{"arm":"end to end","continues":true,"filtered_by":null,"line":6,"operator":"end to end: trained by the program''s own loss","parent":12,"recipe":"{\"data\":{\"families\":[],\"generators\":[],\"original_share\":1.0},\"learner\":{\"name\":\"program\",\"options\":{}},\"net\":{\"name\":\"mlp\",\"options\":{\"depth\":2,\"width\":256}},\"plan\":{\"augmentation\":{\"name\":\"none\",\"options\":{}},\"averaging\":0.0,\"batch_size\":128,\"class_loss_weight\":1.0,\"gradient_clip\":0.0,\"learning_rate\":0.002,\"matrix_rate\":0.03,\"num_tasks\":1,\"optimiser\":\"adamw\",\"precision\":\"fastest\",\"queries\":4,\"schedule\":\"cosine\",\"shots\":1,\"style\":\"episodes\",\"warmup\":0.05,\"ways\":36,\"weight_decay\":0.0001},\"program\":\"def embed_map(x, center):\\n    a = subtract(x, center)\\n    b = norm(a, axis=1)\\n    return divide(a, b, axis=0)\\n\\ndef adapt(x, y):\\n    a = transpose(y)\\n    b = matmul(a, x)\\n    c = sum(y, axis=0)\\n    return divide(b, c, axis=0)\\n\\ndef predict(x, w):\\n    a = transpose(w)\\n    b = matmul(x, a)\\n    c = multiply(2.467, b)\\n    d = square(w)\\n    e = sum(d, axis=1)\\n    f = subtract(c, e)\\n    g = square(x)\\n    h = sum(g, axis=1)\\n    i = subtract(f, h, axis=0)\\n    return multiply(16.54, i)\\n\"}","rung":2,"share":0.1,"trained":0.20714285714285716}','{"flops":97222656.0,"members":[],"steps":26}','',1.72303562999999826388e-01,0.949677143998997,'2026-11-28T06:43:11.019+00:00','2026-11-28T06:43:12.043+00:00');
INSERT INTO "jobs" VALUES(21,1,20,'judge','finished','{"contestants":["b908e0b6af9509da","c3404d28bd6a8cfa"],"episodes":100,"known":[100,100],"seed":0}','{"certain":false,"incumbent":"b908e0b6af9509da","node":0,"reasons":["paired difference -0.050 +/- 0.008 (+/- 0.167 for new classes) of program / mlp over logistic_regression / raw (1 and 5 shots): not certain for new classes, 1 compared","paired difference -0.050 +/- 0.008 (+/- 0.167 for new classes) of program / mlp over logistic_regression / raw (1 and 5 shots): not certain for new classes, 1 compared"],"reference":[0,"b908e0b6af9509da"]}','',0.0330164289999999,7.64689968000311637297e-01,'2026-11-28T06:43:12.138+00:00','2026-11-28T06:43:12.936+00:00');
INSERT INTO "jobs" VALUES(22,1,21,'train','finished','{"arm":"plan","continues":true,"filtered_by":2,"line":9,"operator":"plan: learning_rate 0.002 -> 0.0021, warmup 0.05 -> 0.01","parent":9,"recipe":"{\"data\":{\"families\":[],\"generators\":[{\"name\":\"mask\",\"options\":{\"share\":0.3}},{\"name\":\"mix\",\"options\":{\"share\":0.3}},{\"name\":\"permute_features\",\"options\":{\"share\":0.3}},{\"name\":\"prior\",\"options\":{\"kind\":\"gaussian\"}},{\"name\":\"sign\",\"options\":{\"share\":0.3}}],\"original_share\":0.5},\"learner\":{\"name\":\"simpleshot\",\"options\":{}},\"net\":{\"name\":\"mlp\",\"options\":{\"depth\":2,\"width\":256}},\"plan\":{\"augmentation\":{\"name\":\"none\",\"options\":{}},\"averaging\":0.0,\"batch_size\":128,\"class_loss_weight\":1.0,\"gradient_clip\":0.0,\"learning_rate\":0.0021,\"matrix_rate\":0.03,\"num_tasks\":1,\"optimiser\":\"adamw\",\"precision\":\"fastest\",\"queries\":15,\"schedule\":\"cosine\",\"shots\":1,\"style\":\"classes\",\"warmup\":0.01,\"ways\":5,\"weight_decay\":0.0001},\"program\":null}","rung":1,"share":0.1,"trained":0.10714285714285715}','{"flops":1677459456.0,"members":[],"steps":14}','',3.14424744000000089272e-01,3.73115207699993334244e+00,'2026-11-28T06:43:12.992+00:00','2026-11-28T06:43:16.965+00:00');
CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
);
INSERT INTO "meta" VALUES('format','metaloop archive');
INSERT INTO "meta" VALUES('schema version','2');
CREATE TABLE openings (
    id INTEGER PRIMARY KEY,
    run INTEGER REFERENCES runs (id),     -- NULL: opened by `evaluate`, outside of any run
    opened TEXT NOT NULL,
    subject TEXT NOT NULL,                -- identity of the candidate or hash of the model file
    purpose TEXT NOT NULL,
    part TEXT NOT NULL,
    ways INTEGER NOT NULL,
    shots INTEGER NOT NULL,
    queries INTEGER NOT NULL,
    norm_policy TEXT NOT NULL,
    list_hash TEXT NOT NULL,
    data_hash TEXT NOT NULL,
    metric TEXT,                          -- NULL until the evaluation has ended
    value REAL,
    ci95 REAL,
    episodes INTEGER,
    ci95_new REAL,
    units INTEGER NOT NULL DEFAULT 0
);
INSERT INTO "openings" VALUES(1,1,'2026-11-28T06:43:26.065+00:00','b908e0b6af9509da','the end of a learn run','test',3,1,15,'none','2016051b15a2c658','b7719f62ec374d75','accuracy',9.9557575757575755837e-01,8.08523285285517334143e-04,1000,1.05730305700624076237e-02,4);
CREATE TABLE parents (
    child TEXT NOT NULL REFERENCES candidates (identity),
    position INTEGER NOT NULL,
    parent TEXT NOT NULL REFERENCES candidates (identity),
    PRIMARY KEY (child, position)
);
INSERT INTO "parents" VALUES('258491c85d61a7c7',0,'b3a49dc19d2bb9c1');
INSERT INTO "parents" VALUES('490aed180f0efd6f',0,'c3404d28bd6a8cfa');
INSERT INTO "parents" VALUES('3cc5c1e675a3b1a3',0,'493539cdee3353ce');
INSERT INTO "parents" VALUES('a6861c959cd018b2',0,'1184a85606fde291');
CREATE TABLE results (
    id INTEGER PRIMARY KEY,
    trial INTEGER NOT NULL REFERENCES trials (id),
    metric TEXT NOT NULL,
    value REAL,
    ci95 REAL,
    episodes INTEGER NOT NULL,
    part TEXT NOT NULL,
    ways INTEGER NOT NULL,
    shots INTEGER NOT NULL,
    queries INTEGER NOT NULL,
    norm_policy TEXT NOT NULL,
    list_hash TEXT NOT NULL,
    data_hash TEXT NOT NULL,
    scores_type TEXT CHECK (scores_type IN ('<f4', '<f8')),
    scores BLOB,                          -- one number per episode, little-endian
    ci95_new REAL,                        -- for new classes of the family
    units INTEGER NOT NULL DEFAULT 0,     -- how many classes (or functions) the episodes are of
    unit_scores BLOB                      -- of each unit of an episode: core.packing, float64
);
INSERT INTO "results" VALUES(1,1,'accuracy',1.0,0.0,50,'search',3,1,15,'none','e266cd99155bd254','b7719f62ec374d75','<f8',X'000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F',0.0,4,X'789C636000810FF60CA3F4283D4A8FD2839C0600B064B18B');
INSERT INTO "results" VALUES(2,1,'accuracy',1.0,0.0,50,'search',3,5,15,'none','11e245c666b02931','b7719f62ec374d75','<f8',X'000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F000000000000F03F',0.0,4,X'789C636000810FF60CA3F4283D4A8FD2839C0600B064B18B');
INSERT INTO "results" VALUES(3,2,'accuracy',1.0,0.0,50,'search',3,1,15,'none','e266cd99155bd254','b7719f62ec374d75',NULL,NULL,0.0,4,NULL);
INSERT INTO "results" VALUES(4,2,'accuracy',1.0,0.0,50,'search',3,5,15,'none','11e245c666b02931','b7719f62ec374d75',NULL,NULL,0.0,4,NULL);
INSERT INTO "results" VALUES(5,3,'accuracy',1.0,0.0,50,'search',3,1,15,'none','e266cd99155bd254','b7719f62ec374d75',NULL,NULL,0.0,4,NULL);
INSERT INTO "results" VALUES(6,3,'accuracy',1.0,0.0,50,'search',3,5,15,'none','11e245c666b02931','b7719f62ec374d75',NULL,NULL,0.0,4,NULL);
INSERT INTO "results" VALUES(7,4,'accuracy',9.95151515151515120294e-01,4.02814115825005092386e-03,50,'search',3,1,15,'none','e266cd99155bd254','b7719f62ec374d75',NULL,NULL,1.58713355483322479666e-02,4,NULL);
INSERT INTO "results" VALUES(8,4,'accuracy',0.999047619047619,1.913881178218325603e-03,50,'search',3,5,15,'none','11e245c666b02931','b7719f62ec374d75',NULL,NULL,2.10035699877911827618e-03,4,NULL);
INSERT INTO "results" VALUES(9,5,'accuracy',9.50303030303030205061e-01,1.18579753371513049037e-02,100,'search',3,1,15,'none','dfb6559e1fe65e6c','b7719f62ec374d75',NULL,NULL,2.24096857616903760712e-01,4,NULL);
INSERT INTO "results" VALUES(10,5,'accuracy',9.57619047619047480957e-01,1.02185150878853631128e-02,100,'search',3,5,15,'none','fcb8d556e318371b','b7719f62ec374d75',NULL,NULL,1.98379207090082110287e-01,4,NULL);
INSERT INTO "results" VALUES(11,6,'accuracy',9.89393939393939381155e-01,4.55240143260320865442e-03,100,'search',3,1,15,'none','dfb6559e1fe65e6c','b7719f62ec374d75',NULL,NULL,4.20794689894838647159e-02,4,NULL);
INSERT INTO "results" VALUES(12,6,'accuracy',9.99523809523809481092e-01,9.44865215041151796857e-04,100,'search',3,5,15,'none','fcb8d556e318371b','b7719f62ec374d75',NULL,NULL,1.03544053205825823012e-03,4,NULL);
INSERT INTO "results" VALUES(29,15,'accuracy',9.94848484848484648779e-01,2.42552295219780221155e-03,100,'search',3,1,15,'none','dfb6559e1fe65e6c','b7719f62ec374d75',NULL,NULL,7.1864779773541413374e-03,4,NULL);
INSERT INTO "results" VALUES(30,15,'accuracy',0.999047619047619,1.32947538001513946605e-03,100,'search',3,5,15,'none','fcb8d556e318371b','b7719f62ec374d75',NULL,NULL,2.11676524755684226583e-03,4,NULL);
INSERT INTO "results" VALUES(31,16,'accuracy',9.92424242424242541993e-01,3.9511696564168063625e-03,100,'search',3,1,15,'none','dfb6559e1fe65e6c','b7719f62ec374d75',NULL,NULL,2.87412724531037576392e-02,4,NULL);
INSERT INTO "results" VALUES(32,16,'accuracy',9.99523809523809481092e-01,9.44865215041151796857e-04,100,'search',3,5,15,'none','fcb8d556e318371b','b7719f62ec374d75',NULL,NULL,1.03544053205825823012e-03,4,NULL);
INSERT INTO "results" VALUES(35,18,'accuracy',9.91212121212121211044e-01,5.49188394945690581266e-03,100,'search',3,1,15,'none','dfb6559e1fe65e6c','b7719f62ec374d75',NULL,NULL,0.0329917288470265,4,NULL);
INSERT INTO "results" VALUES(36,18,'accuracy',1.0,0.0,100,'search',3,5,15,'none','fcb8d556e318371b','b7719f62ec374d75',NULL,NULL,0.0,4,NULL);
INSERT INTO "results" VALUES(45,23,'accuracy',0.992348484848485,1.6705312587868895429e-03,400,'search',3,1,15,'none','5789995401888ecb','b7719f62ec374d75',NULL,NULL,1.81528716861188883779e-02,4,NULL);
INSERT INTO "results" VALUES(46,23,'accuracy',1.0,0.0,400,'search',3,5,15,'none','095905e4015977ff','b7719f62ec374d75',NULL,NULL,0.0,4,NULL);
INSERT INTO "results" VALUES(47,24,'accuracy',9.76439393939393940335e-01,2.71381722238103056943e-03,400,'search',3,1,15,'none','5789995401888ecb','b7719f62ec374d75',NULL,NULL,7.47469809933093282117e-02,4,NULL);
INSERT INTO "results" VALUES(48,24,'accuracy',9.86904761904762062307e-01,2.62776008363657838373e-03,400,'search',3,5,15,'none','095905e4015977ff','b7719f62ec374d75',NULL,NULL,4.46908454356841206012e-02,4,NULL);
INSERT INTO "results" VALUES(49,25,'accuracy',9.75757575757575823516e-01,3.0120844971545709251e-03,400,'search',3,1,15,'none','5789995401888ecb','b7719f62ec374d75',NULL,NULL,9.46244511990713410565e-02,4,NULL);
INSERT INTO "results" VALUES(50,25,'accuracy',9.99880952380952425784e-01,2.34038963800105260723e-04,400,'search',3,5,15,'none','095905e4015977ff','b7719f62ec374d75',NULL,NULL,2.5466071419753317671e-04,4,NULL);
INSERT INTO "results" VALUES(51,26,'accuracy',0.984090909090909,2.34716651518860437361e-03,400,'search',3,1,15,'none','5789995401888ecb','b7719f62ec374d75',NULL,NULL,5.12008142641050406629e-02,4,NULL);
INSERT INTO "results" VALUES(52,26,'accuracy',9.96190476190476181805e-01,1.31393228253089350623e-03,400,'search',3,5,15,'none','095905e4015977ff','b7719f62ec374d75',NULL,NULL,1.51885032786874089871e-02,4,NULL);
INSERT INTO "results" VALUES(65,33,'accuracy',9.9030303030303035161e-01,1.48402899106787303402e-03,400,'search',3,1,15,'none','5789995401888ecb','b7719f62ec374d75',NULL,NULL,1.60252997711549868831e-02,4,NULL);
INSERT INTO "results" VALUES(66,33,'accuracy',9.92619047619047734087e-01,1.69611741632895896177e-03,400,'search',3,5,15,'none','095905e4015977ff','b7719f62ec374d75',NULL,NULL,3.23827954953966531959e-02,4,NULL);
INSERT INTO "results" VALUES(67,34,'accuracy',9.99545454545454514772e-01,3.62519030387471296716e-04,400,'search',3,1,15,'none','5789995401888ecb','b7719f62ec374d75',NULL,NULL,1.38585637427507033479e-03,4,NULL);
INSERT INTO "results" VALUES(68,34,'accuracy',1.0,0.0,400,'search',3,5,15,'none','095905e4015977ff','b7719f62ec374d75',NULL,NULL,0.0,4,NULL);
INSERT INTO "results" VALUES(69,35,'accuracy',0.995151515151515,1.36475722971084113994e-03,400,'search',3,1,15,'none','5789995401888ecb','b7719f62ec374d75',NULL,NULL,1.94014756246487368729e-02,4,NULL);
INSERT INTO "results" VALUES(70,35,'accuracy',1.0,0.0,400,'search',3,5,15,'none','095905e4015977ff','b7719f62ec374d75',NULL,NULL,0.0,4,NULL);
INSERT INTO "results" VALUES(71,36,'accuracy',9.97651515151515067003e-01,1.01793108732596299798e-03,400,'search',3,1,15,'none','5789995401888ecb','b7719f62ec374d75',NULL,NULL,8.9236582117970860567e-03,4,NULL);
INSERT INTO "results" VALUES(72,36,'accuracy',1.0,0.0,400,'search',3,5,15,'none','095905e4015977ff','b7719f62ec374d75',NULL,NULL,0.0,4,NULL);
INSERT INTO "results" VALUES(77,39,'accuracy',9.9280303030303029832e-01,1.41811464983846043617e-03,400,'search',3,1,15,'none','5789995401888ecb','b7719f62ec374d75',NULL,NULL,1.99583673514495130163e-02,4,NULL);
INSERT INTO "results" VALUES(78,39,'accuracy',9.98690476190476239537e-01,7.66430646319359270939e-04,400,'search',3,5,15,'none','095905e4015977ff','b7719f62ec374d75',NULL,NULL,0.00516147391375824,4,NULL);
INSERT INTO "results" VALUES(79,40,'accuracy',9.9166666666666658525e-01,1.76284032958494039575e-03,400,'search',3,1,15,'none','5789995401888ecb','b7719f62ec374d75',NULL,NULL,3.98833941892848195531e-02,4,NULL);
INSERT INTO "results" VALUES(80,40,'accuracy',1.0,0.0,400,'search',3,5,15,'none','095905e4015977ff','b7719f62ec374d75',NULL,NULL,0.0,4,NULL);
INSERT INTO "results" VALUES(81,41,'accuracy',9.92272727272727195213e-01,1.71319809861905582477e-03,400,'search',3,1,15,'none','5789995401888ecb','b7719f62ec374d75',NULL,NULL,3.43625287895177530805e-02,4,NULL);
INSERT INTO "results" VALUES(82,41,'accuracy',0.999047619047619,6.56129774101061767274e-04,400,'search',3,5,15,'none','095905e4015977ff','b7719f62ec374d75',NULL,NULL,3.0180670161522793124e-03,4,NULL);
INSERT INTO "results" VALUES(83,1,'accuracy',9.88484848484848410699e-01,3.89578864879214312871e-03,100,'promotion',3,1,15,'none','4b8bca1fa3337735','b7719f62ec374d75',NULL,NULL,1.22565350971484410269e-02,4,NULL);
INSERT INTO "results" VALUES(84,1,'accuracy',1.0,0.0,100,'promotion',3,5,15,'none','e6b892dcddf40757','b7719f62ec374d75',NULL,NULL,0.0,4,NULL);
INSERT INTO "results" VALUES(85,34,'accuracy',9.29393939393939327864e-01,1.41478837033400077494e-02,100,'promotion',3,1,15,'none','4b8bca1fa3337735','b7719f62ec374d75',NULL,NULL,2.29973419562221975676e-01,4,NULL);
INSERT INTO "results" VALUES(86,34,'accuracy',9.58095238095238110886e-01,0.00913616504523804,100,'promotion',3,5,15,'none','e6b892dcddf40757','b7719f62ec374d75',NULL,NULL,1.25849902689686099499e-01,4,NULL);
INSERT INTO "results" VALUES(93,45,'accuracy',9.89469696969696888011e-01,1.61089726973723560907e-03,400,'search',3,1,15,'none','5789995401888ecb','b7719f62ec374d75',NULL,NULL,1.61935904843870832892e-02,4,NULL);
INSERT INTO "results" VALUES(94,45,'accuracy',9.92738095238095308303e-01,1.68487034088209098811e-03,400,'search',3,5,15,'none','095905e4015977ff','b7719f62ec374d75',NULL,NULL,3.19550466346695954955e-02,4,NULL);
INSERT INTO "results" VALUES(95,46,'accuracy',9.97954545454545316474e-01,7.48244221561165587242e-04,400,'search',3,1,15,'none','5789995401888ecb','b7719f62ec374d75',NULL,NULL,7.97865054311461784075e-03,4,NULL);
INSERT INTO "results" VALUES(96,46,'accuracy',1.0,0.0,400,'search',3,5,15,'none','095905e4015977ff','b7719f62ec374d75',NULL,NULL,0.0,4,NULL);
INSERT INTO "results" VALUES(97,47,'accuracy',9.93257575757575672525e-01,2.08340736386948425021e-03,400,'search',3,1,15,'none','5789995401888ecb','b7719f62ec374d75',NULL,NULL,2.29878797478002896981e-02,4,NULL);
INSERT INTO "results" VALUES(98,47,'accuracy',1.0,0.0,400,'search',3,5,15,'none','095905e4015977ff','b7719f62ec374d75',NULL,NULL,0.0,4,NULL);
CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    started TEXT NOT NULL,
    ended TEXT,
    command TEXT NOT NULL,
    arguments TEXT NOT NULL,              -- JSON
    seed INTEGER NOT NULL,
    budget TEXT NOT NULL,
    status TEXT NOT NULL,
    environment TEXT NOT NULL             -- JSON: versions, platform, processors
);
INSERT INTO "runs" VALUES(1,'2026-11-28T06:37:33.947+00:00','2026-11-28T06:44:23.638+00:00','learn','{"also":[],"archive":null,"budget":"120steps","classes_at":null,"data":"toy.npz","image_size":null,"queries":15,"seed":0,"shots":1,"split_seed":0,"value_range":null,"ways":3,"workers":1}',0,'120steps','finished','{"cpu_count":2,"machine":"x86_64","metaloop":"0.1.0","numpy":"2.4.6","platform":"Linux","python":"3.11.7","safetensors":"0.8.0","scikit-learn":"1.9.1","scipy":"1.17.1","torch":"2.13.0+cpu"}');
CREATE TABLE spent (
    run INTEGER PRIMARY KEY REFERENCES runs (id),
    wall_seconds REAL NOT NULL,
    cpu_seconds REAL NOT NULL             -- of the coordinator and all workers
);
INSERT INTO "spent" VALUES(1,3.51995111854001152106e+02,2.06811225170000021486e+01);
CREATE TABLE trials (
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES runs (id),
    job INTEGER REFERENCES jobs (id),     -- what was done: heads on one net share it
    candidate TEXT NOT NULL REFERENCES candidates (identity),
    data_hash TEXT NOT NULL REFERENCES data_sets (hash),
    status TEXT NOT NULL,
    seed INTEGER NOT NULL,
    rung INTEGER NOT NULL,
    continues INTEGER REFERENCES trials (id),  -- the trial whose trunk this one goes on from
    steps INTEGER NOT NULL DEFAULT 0,
    cpu_seconds REAL NOT NULL DEFAULT 0,
    wall_seconds REAL NOT NULL DEFAULT 0,
    flops REAL,
    message TEXT NOT NULL DEFAULT '',
    started TEXT NOT NULL,
    ended TEXT
);
INSERT INTO "trials" VALUES(1,1,1,'b908e0b6af9509da','b7719f62ec374d75','finished',0,0,NULL,0,3.227120201,2.26853709440001694019e+01,0.0,'','2026-11-28T06:38:54.694+00:00','2026-11-28T06:38:54.713+00:00');
INSERT INTO "trials" VALUES(2,1,1,'b7853ba6024d65e0','b7719f62ec374d75','finished',0,0,NULL,0,3.227120201,2.26853709440001694019e+01,0.0,'','2026-11-28T06:38:54.697+00:00','2026-11-28T06:38:54.714+00:00');
INSERT INTO "trials" VALUES(3,1,1,'d9d8f83a1ad3d64c','b7719f62ec374d75','finished',0,0,NULL,0,3.227120201,2.26853709440001694019e+01,0.0,'','2026-11-28T06:38:54.705+00:00','2026-11-28T06:38:54.715+00:00');
INSERT INTO "trials" VALUES(4,1,1,'0650270fd57b8e82','b7719f62ec374d75','finished',0,0,NULL,0,3.227120201,2.26853709440001694019e+01,0.0,'','2026-11-28T06:38:54.709+00:00','2026-11-28T06:38:54.716+00:00');
INSERT INTO "trials" VALUES(5,1,2,'3a67d7b6cd58e7d2','b7719f62ec374d75','finished',0,0,NULL,2,1.72235570199999976637e+00,4.02957474209997599254e+01,97505280.0,'','2026-11-28T06:38:54.729+00:00','2026-11-28T06:39:35.041+00:00');
INSERT INTO "trials" VALUES(6,1,3,'1184a85606fde291','b7719f62ec374d75','finished',0,0,NULL,2,3.75490690999999543464e-01,1.06302742240004590714e+01,103809024.0,'','2026-11-28T06:39:35.085+00:00','2026-11-28T06:39:45.903+00:00');
INSERT INTO "trials" VALUES(15,1,NULL,'b3a49dc19d2bb9c1','b7719f62ec374d75','finished',0,0,NULL,2,1.3525669099999859668e-01,2.93014750700058357324e+00,17203200.0,'','2026-11-28T06:40:00.290+00:00','2026-11-28T06:40:03.388+00:00');
INSERT INTO "trials" VALUES(16,1,NULL,'c3404d28bd6a8cfa','b7719f62ec374d75','finished',0,0,NULL,2,1.3525669099999859668e-01,2.93014750700058357324e+00,17203200.0,'','2026-11-28T06:40:00.290+00:00','2026-11-28T06:40:03.388+00:00');
INSERT INTO "trials" VALUES(18,1,NULL,'493539cdee3353ce','b7719f62ec374d75','finished',0,0,NULL,2,1.3525669099999859668e-01,2.93014750700058357324e+00,17203200.0,'','2026-11-28T06:40:00.290+00:00','2026-11-28T06:40:03.446+00:00');
INSERT INTO "trials" VALUES(23,1,NULL,'258491c85d61a7c7','b7719f62ec374d75','finished',0,0,NULL,2,4.12080461000000397575e-01,1.26170735920004517538e+01,17203200.0,'','2026-11-28T06:40:10.173+00:00','2026-11-28T06:40:22.899+00:00');
INSERT INTO "trials" VALUES(24,1,NULL,'490aed180f0efd6f','b7719f62ec374d75','finished',0,0,NULL,2,4.12080461000000397575e-01,1.26170735920004517538e+01,17203200.0,'','2026-11-28T06:40:10.174+00:00','2026-11-28T06:40:22.900+00:00');
INSERT INTO "trials" VALUES(25,1,NULL,'3cc5c1e675a3b1a3','b7719f62ec374d75','finished',0,0,NULL,2,4.12080461000000397575e-01,1.26170735920004517538e+01,17203200.0,'','2026-11-28T06:40:10.174+00:00','2026-11-28T06:40:23.026+00:00');
INSERT INTO "trials" VALUES(26,1,NULL,'a6861c959cd018b2','b7719f62ec374d75','finished',0,0,NULL,2,5.11734388000000706142e-01,3.75088486289987486097e+01,279576576.0,'','2026-11-28T06:40:23.267+00:00','2026-11-28T06:41:01.145+00:00');
INSERT INTO "trials" VALUES(33,1,NULL,'b3a49dc19d2bb9c1','b7719f62ec374d75','finished',0,1,15,14,2.38599726000000345038e-01,1.70151745600014692172e+00,103219200.0,'','2026-11-28T06:41:48.420+00:00','2026-11-28T06:41:50.139+00:00');
INSERT INTO "trials" VALUES(34,1,NULL,'c3404d28bd6a8cfa','b7719f62ec374d75','finished',0,1,15,14,2.38599726000000345038e-01,1.70151745600014692172e+00,103219200.0,'','2026-11-28T06:41:48.420+00:00','2026-11-28T06:41:50.140+00:00');
INSERT INTO "trials" VALUES(35,1,NULL,'493539cdee3353ce','b7719f62ec374d75','finished',0,1,15,14,2.38599726000000345038e-01,1.70151745600014692172e+00,103219200.0,'','2026-11-28T06:41:48.420+00:00','2026-11-28T06:41:50.141+00:00');
INSERT INTO "trials" VALUES(36,1,NULL,'1184a85606fde291','b7719f62ec374d75','finished',0,1,6,14,2.26900378999999929874e-01,3.21517528699951071757e+00,622854144.0,'','2026-11-28T06:41:50.215+00:00','2026-11-28T06:41:53.611+00:00');
INSERT INTO "trials" VALUES(39,1,15,'258491c85d61a7c7','b7719f62ec374d75','finished',0,1,23,14,2.68769895000000147433e-01,1.78141233399946941062e+00,103219200.0,'','2026-11-28T06:41:53.691+00:00','2026-11-28T06:41:55.762+00:00');
INSERT INTO "trials" VALUES(40,1,15,'3cc5c1e675a3b1a3','b7719f62ec374d75','finished',0,1,23,14,2.68769895000000147433e-01,1.78141233399946941062e+00,103219200.0,'','2026-11-28T06:41:53.691+00:00','2026-11-28T06:41:55.763+00:00');
INSERT INTO "trials" VALUES(41,1,15,'490aed180f0efd6f','b7719f62ec374d75','finished',0,1,23,14,2.68769895000000147433e-01,1.78141233399946941062e+00,103219200.0,'','2026-11-28T06:41:53.691+00:00','2026-11-28T06:41:55.764+00:00');
INSERT INTO "trials" VALUES(45,1,18,'b3a49dc19d2bb9c1','b7719f62ec374d75','finished',0,2,33,26,3.04297282000000279822e-01,8.9549500129996886244e+00,103219200.0,'','2026-11-28T06:42:07.783+00:00','2026-11-28T06:42:17.038+00:00');
INSERT INTO "trials" VALUES(46,1,18,'c3404d28bd6a8cfa','b7719f62ec374d75','finished',0,2,33,26,3.04297282000000279822e-01,8.9549500129996886244e+00,103219200.0,'','2026-11-28T06:42:07.784+00:00','2026-11-28T06:42:17.068+00:00');
INSERT INTO "trials" VALUES(47,1,18,'493539cdee3353ce','b7719f62ec374d75','finished',0,2,33,26,3.04297282000000279822e-01,8.9549500129996886244e+00,103219200.0,'','2026-11-28T06:42:07.784+00:00','2026-11-28T06:42:17.069+00:00');
CREATE TABLE verdicts (
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES runs (id),
    decided TEXT NOT NULL,
    winner TEXT NOT NULL REFERENCES candidates (identity),
    loser TEXT NOT NULL REFERENCES candidates (identity),
    part TEXT NOT NULL,
    difference REAL,
    low REAL,
    episodes INTEGER NOT NULL,
    reason TEXT NOT NULL,
    low_new REAL,
    units INTEGER NOT NULL DEFAULT 0,
    certain INTEGER                       -- NULL: nothing was claimed
);
INSERT INTO "verdicts" VALUES(1,1,'2026-11-28T06:40:23.028+00:00','b3a49dc19d2bb9c1','258491c85d61a7c7','search',4.32900432900431544804e-04,-1.49845239266729163794e-03,100,'data: add all',-9.62021840561316614326e-03,4,NULL);
INSERT INTO "verdicts" VALUES(5,1,'2026-11-28T06:41:50.144+00:00','c3404d28bd6a8cfa','b3a49dc19d2bb9c1','search',2.74891774891774728906e-03,1.27516426841029644791e-03,100,'continue',-1.08791477040077631463e-03,4,NULL);
INSERT INTO "verdicts" VALUES(7,1,'2026-11-28T06:41:55.984+00:00','258491c85d61a7c7','3cc5c1e675a3b1a3','search',3.40909090909090610639e-04,-7.05055210019569339983e-04,400,'continue',-1.0030539624188436823e-02,4,NULL);
INSERT INTO "verdicts" VALUES(8,1,'2026-11-28T06:42:03.052+00:00','b908e0b6af9509da','c3404d28bd6a8cfa','promotion',5.04978354978355137294e-02,4.26136590048929106422e-02,100,'paired difference -0.050 +/- 0.008 (+/- 0.167 for new classes) of program / mlp over logistic_regression / raw (1 and 5 shots): not certain for new classes, 1 compared',-1.16245500832190484796e-01,4,0);
INSERT INTO "verdicts" VALUES(11,1,'2026-11-28T06:43:12.936+00:00','b908e0b6af9509da','c3404d28bd6a8cfa','promotion',5.04978354978355137294e-02,4.26136590048929106422e-02,100,'paired difference -0.050 +/- 0.008 (+/- 0.167 for new classes) of program / mlp over logistic_regression / raw (1 and 5 shots): not certain for new classes, 1 compared',-1.16245500832190484796e-01,4,0);
INSERT INTO "verdicts" VALUES(17,1,'2026-11-28T06:43:25.795+00:00','b908e0b6af9509da','c3404d28bd6a8cfa','promotion',5.04978354978355137294e-02,4.26136590048929106422e-02,100,'paired difference -0.050 +/- 0.008 (+/- 0.167 for new classes) of program / mlp over logistic_regression / raw (1 and 5 shots): not certain for new classes, 5 compared',-1.16245500832190484796e-01,4,0);
CREATE INDEX candidates_behaviour ON candidates (behaviour) WHERE behaviour IS NOT NULL;
CREATE INDEX jobs_run ON jobs (run);
CREATE INDEX trials_run ON trials (run);
CREATE INDEX trials_candidate ON trials (candidate);
CREATE INDEX results_trial ON results (trial);
CREATE INDEX results_list ON results (list_hash);
CREATE INDEX artefacts_run ON artefacts (run);
COMMIT;
