//! The part of Python's pickle format that PyTorch checkpoints use, read without running anything.
//!
//! A pickle is a program for a small stack machine; Python's own reader lets that program call any function.
//! Here the machine knows seven names (see [`Global`]), builds plain values for them, and stops at every other.
//! Protocol 2 only, as `torch.save` has always written; Python 2's byte strings included.

use std::collections::HashMap;
use std::rc::Rc;

use anyhow::{Context as _, Result, bail, ensure};

/// More values than this are no list of tensors; 80,000 tensors need a tenth of it.
const MAX_VALUES: usize = 4_000_000;

/// The only names a checkpoint may refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    Storage(StorageKind),
}

/// The element type of a storage (`torch.FloatStorage` and so on).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StorageKind {
    Double,
    Float,
    Half,
    BFloat16,
    Long,
    Int,
    Short,
    Byte,
    Bool,
}

/// A value on the machine's stack. Containers live in [`Pickle`], so that values stay small and may share them.
#[derive(Clone, Debug)]
pub enum Value {
    Mark,
    None,
    Bool(bool),
    Int(i128),
    Float,
    Str(Rc<str>),
    Global(Global),
    Object(usize),
}

/// A container or one of PyTorch's objects.
#[derive(Debug)]
pub enum Object {
    List(Vec<Value>),
    Tuple(Vec<Value>),
    Dict(Vec<(Value, Value)>),
    Storage(Storage),
    Tensor(View),
}

/// A block of numbers that lies elsewhere in the file, named by its key.
#[derive(Clone, Debug)]
pub struct Storage {
    pub kind: StorageKind,
    pub key: Rc<str>,
    /// Number of elements, not bytes.
    pub len: usize,
}

/// A tensor: which elements of which storage, in elements.
#[derive(Clone, Debug)]
pub struct View {
    pub storage: Storage,
    pub offset: usize,
    pub shape: Vec<usize>,
    pub stride: Vec<usize>,
}

/// What one pickle said.
#[derive(Debug)]
pub struct Pickle {
    pub root: Value,
    objects: Vec<Object>,
    /// Bytes read, the closing `STOP` included: a legacy file has several pickles in a row.
    pub size_bytes: usize,
}

impl Pickle {
    /// The entries of a dict, or `None` if `value` is something else.
    pub fn dict(&self, value: &Value) -> Option<&[(Value, Value)]> {
        match self.object(value)? {
            Object::Dict(entries) => Some(entries),
            _ => None,
        }
    }

    /// The items of a list, or `None` if `value` is something else.
    pub fn list(&self, value: &Value) -> Option<&[Value]> {
        match self.object(value)? {
            Object::List(items) => Some(items),
            _ => None,
        }
    }

    /// The tensor that `value` is, if it is one.
    pub fn tensor(&self, value: &Value) -> Option<&View> {
        match self.object(value)? {
            Object::Tensor(view) => Some(view),
            _ => None,
        }
    }

    /// Every storage that was mentioned, used by a tensor or not.
    pub fn storages(&self) -> impl Iterator<Item = &Storage> {
        self.objects.iter().filter_map(|object| match object {
            Object::Storage(storage) => Some(storage),
            _ => None,
        })
    }

    fn object(&self, value: &Value) -> Option<&Object> {
        match value {
            Value::Object(index) => self.objects.get(*index),
            _ => None,
        }
    }
}

/// Reads the pickle at the start of `bytes`.
///
/// # Errors
/// Truncated or damaged data, an instruction that checkpoints do not use, or a name that is not one of [`Global`].
pub fn parse(bytes: &[u8]) -> Result<Pickle> {
    let mut machine = Machine {
        bytes,
        at: 0,
        stack: Vec::new(),
        objects: Vec::new(),
        memo: HashMap::new(),
    };
    while let Some(op) = machine.next_op()? {
        machine.step(op)?;
    }
    let root = machine.pop()?;
    Ok(Pickle {
        root,
        objects: machine.objects,
        size_bytes: machine.at,
    })
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Value>,
    objects: Vec<Object>,
    memo: HashMap<u32, Value>,
}

impl Machine<'_> {
    /// The next instruction, or `None` at the end of the program.
    fn next_op(&mut self) -> Result<Option<u8>> {
        ensure!(
            self.stack.len() + self.objects.len() < MAX_VALUES,
            "The pickle holds too many values for a checkpoint"
        );
        let op = self.byte()?;
        Ok((op != b'.').then_some(op))
    }

    fn step(&mut self, op: u8) -> Result<()> {
        match op {
            0x80 => {
                let protocol = self.byte()?;
                ensure!(
                    protocol == 2,
                    "The pickle has protocol {protocol}, PyTorch writes 2"
                );
            }
            b'(' => self.stack.push(Value::Mark),
            b'N' => self.stack.push(Value::None),
            0x88 => self.stack.push(Value::Bool(true)),
            0x89 => self.stack.push(Value::Bool(false)),
            b'K' => {
                let value = self.byte()?;
                self.stack.push(Value::Int(value.into()));
            }
            b'M' => {
                let value = u16::from_le_bytes(self.array()?);
                self.stack.push(Value::Int(value.into()));
            }
            b'J' => {
                let value = i32::from_le_bytes(self.array()?);
                self.stack.push(Value::Int(value.into()));
            }
            0x8a => self.long()?,
            b'G' => {
                self.take(8)?; // learning rates and the like; no use for them here
                self.stack.push(Value::Float);
            }
            b'X' | b'T' => {
                let size = self.size()?;
                self.string(size)?;
            }
            b'U' => {
                let size = self.byte()?.into();
                self.string(size)?;
            }
            b']' => self.push(Object::List(Vec::new())),
            b'}' => self.push(Object::Dict(Vec::new())),
            b')' => self.push(Object::Tuple(Vec::new())),
            b't' => {
                let items = self.pop_to_mark()?;
                self.push(Object::Tuple(items));
            }
            0x85..=0x87 => {
                let items = self.pop_many(usize::from(op - 0x84))?;
                self.push(Object::Tuple(items));
            }
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            b'e' => {
                let items = self.pop_to_mark()?;
                self.append(items)?;
            }
            b's' => {
                let pair = self.pop_many(2)?;
                self.set_items(pair)?;
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.set_items(items)?;
            }
            b'q' => {
                let slot = self.byte()?.into();
                self.remember(slot)?;
            }
            b'r' => {
                let slot = u32::from_le_bytes(self.array()?);
                self.remember(slot)?;
            }
            b'h' => {
                let slot = self.byte()?.into();
                self.recall(slot)?;
            }
            b'j' => {
                let slot = u32::from_le_bytes(self.array()?);
                self.recall(slot)?;
            }
            b'c' => {
                let global = self.global()?;
                self.stack.push(Value::Global(global));
            }
            b'Q' => self.persistent_id()?,
            b'R' => self.reduce()?,
            b'b' => {
                self.pop()?; // `_metadata` of a state dict: layer versions, not needed to read tensors
            }
            other => bail!(
                "Instruction {other:#04x} at byte {} does not occur in checkpoints",
                self.at
            ),
        }
        Ok(())
    }

    fn take(&mut self, size: usize) -> Result<&[u8]> {
        let end = self.at.checked_add(size);
        let taken = end
            .and_then(|end| self.bytes.get(self.at..end))
            .with_context(|| format!("The pickle ends early, at byte {}", self.bytes.len()))?;
        self.at += size;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    fn size(&mut self) -> Result<usize> {
        Ok(usize::try_from(u32::from_le_bytes(self.array()?))?)
    }

    /// A little-endian two's complement integer with its own length; only the file's magic number is longer than 8 bytes.
    fn long(&mut self) -> Result<()> {
        let size = usize::from(self.byte()?);
        ensure!(size <= 15, "An integer of {size} bytes is out of range");
        let digits = self.take(size)?;
        let is_negative = digits.last().is_some_and(|top| top & 0x80 != 0);
        let fill = if is_negative { 0xff } else { 0 };
        let mut value = [fill; 16];
        value
            .iter_mut()
            .zip(digits)
            .for_each(|(to, from)| *to = *from);
        self.stack.push(Value::Int(i128::from_le_bytes(value)));
        Ok(())
    }

    fn string(&mut self, size: usize) -> Result<()> {
        let text = String::from_utf8_lossy(self.take(size)?).into();
        self.stack.push(Value::Str(text));
        Ok(())
    }

    fn push(&mut self, object: Object) {
        self.stack.push(Value::Object(self.objects.len()));
        self.objects.push(object);
    }

    fn pop(&mut self) -> Result<Value> {
        self.stack.pop().context("The pickle's stack is empty")
    }

    fn pop_many(&mut self, count: usize) -> Result<Vec<Value>> {
        let start = self.stack.len().checked_sub(count);
        Ok(self
            .stack
            .split_off(start.context("The pickle's stack is empty")?))
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Value>> {
        let mark = self.stack.iter().rposition(|v| matches!(v, Value::Mark));
        let items = self
            .stack
            .split_off(mark.context("The pickle closes a group that it never opened")? + 1);
        self.pop()?;
        Ok(items)
    }

    fn top_object(&mut self) -> Result<&mut Object> {
        match self.stack.last() {
            Some(Value::Object(index)) => self.objects.get_mut(*index),
            _ => None,
        }
        .context("The pickle fills something that is no container")
    }

    fn append(&mut self, new: Vec<Value>) -> Result<()> {
        match self.top_object()? {
            Object::List(items) => items.extend(new),
            _ => bail!("The pickle appends to something that is no list"),
        }
        Ok(())
    }

    fn set_items(&mut self, flat: Vec<Value>) -> Result<()> {
        let Object::Dict(entries) = self.top_object()? else {
            bail!("The pickle sets an item of something that is no dict");
        };
        let mut flat = flat.into_iter();
        while let Some(key) = flat.next() {
            let value = flat.next().context("The pickle has a key with no value")?;
            entries.push((key, value));
        }
        Ok(())
    }

    fn remember(&mut self, slot: u32) -> Result<()> {
        let value = self.stack.last().context("The pickle's stack is empty")?;
        self.memo.insert(slot, value.clone());
        ensure!(
            self.memo.len() < MAX_VALUES,
            "The pickle holds too many values for a checkpoint"
        );
        Ok(())
    }

    fn recall(&mut self, slot: u32) -> Result<()> {
        let value = self.memo.get(&slot).cloned();
        self.stack
            .push(value.with_context(|| format!("The pickle uses memo {slot} before setting it"))?);
        Ok(())
    }

    fn line(&mut self) -> Result<String> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let size = rest
            .iter()
            .take(256)
            .position(|&byte| byte == b'\n')
            .context("The pickle has a name that never ends")?;
        let line = String::from_utf8_lossy(self.take(size)?).into_owned();
        self.take(1)?;
        Ok(line)
    }

    fn global(&mut self) -> Result<Global> {
        let (module, name) = (self.line()?, self.line()?);
        let kind = match (module.as_str(), name.as_str()) {
            ("collections", "OrderedDict") => return Ok(Global::OrderedDict),
            ("torch._utils", "_rebuild_tensor_v2") => return Ok(Global::RebuildTensor),
            ("torch._utils", "_rebuild_parameter") => return Ok(Global::RebuildParameter),
            ("torch", "DoubleStorage") => StorageKind::Double,
            ("torch", "FloatStorage") => StorageKind::Float,
            ("torch", "HalfStorage") => StorageKind::Half,
            ("torch", "BFloat16Storage") => StorageKind::BFloat16,
            ("torch", "LongStorage") => StorageKind::Long,
            ("torch", "IntStorage") => StorageKind::Int,
            ("torch", "ShortStorage") => StorageKind::Short,
            ("torch", "ByteStorage") => StorageKind::Byte,
            ("torch", "BoolStorage") => StorageKind::Bool,
            _ => bail!(
                "The file wants to run `{module}.{name}`, which is never done here; save the plain state_dict instead"
            ),
        };
        Ok(Global::Storage(kind))
    }

    /// `('storage', kind, key, location, element count[, view])` becomes a [`Storage`].
    fn persistent_id(&mut self) -> Result<()> {
        let id = self.pop()?;
        let storage = match self.tuple(&id)? {
            [
                Value::Str(tag),
                Value::Global(Global::Storage(kind)),
                Value::Str(key),
                Value::Str(_),
                Value::Int(len),
                view @ ..,
            ] if &**tag == "storage" && matches!(view, [] | [Value::None]) => Storage {
                kind: *kind,
                key: key.clone(),
                len: usize::try_from(*len).context("A storage has an impossible size")?,
            },
            _ => bail!("The pickle refers to an object outside itself that is no plain storage"),
        };
        self.push(Object::Storage(storage));
        Ok(())
    }

    /// A call: the function and its arguments are on the stack. Only the three calls below are understood.
    fn reduce(&mut self) -> Result<()> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        match function {
            Value::Global(Global::OrderedDict) => {
                let entries = self.ordered_dict(&arguments)?;
                self.push(Object::Dict(entries));
            }
            Value::Global(Global::RebuildTensor) => {
                let view = self.rebuild_tensor(&arguments)?;
                self.push(Object::Tensor(view));
            }
            Value::Global(Global::RebuildParameter) => {
                let tensor = self.tuple(&arguments)?.first().cloned();
                self.stack
                    .push(tensor.context("A parameter has no tensor")?);
            }
            _ => bail!("The pickle calls something that is no known function"),
        }
        Ok(())
    }

    /// Python 3 makes an empty dict and fills it; Python 2 passes a list of `[key, value]` lists.
    fn ordered_dict(&self, arguments: &Value) -> Result<Vec<(Value, Value)>> {
        let Some(pairs) = self.tuple(arguments)?.first() else {
            return Ok(Vec::new());
        };
        let pair = |value: &Value| match self.items(value)? {
            [key, value] => Ok((key.clone(), value.clone())),
            _ => bail!("An OrderedDict has an entry that is no pair"),
        };
        self.items(pairs)?.iter().map(pair).collect()
    }

    /// `_rebuild_tensor_v2(storage, offset, shape, stride, requires_grad, hooks[, metadata])`.
    fn rebuild_tensor(&self, arguments: &Value) -> Result<View> {
        let [
            Value::Object(storage),
            Value::Int(offset),
            shape,
            stride,
            _,
            _,
            ..,
        ] = self.tuple(arguments)?
        else {
            bail!("A tensor is not described as PyTorch does it");
        };
        let Some(Object::Storage(storage)) = self.objects.get(*storage) else {
            bail!("A tensor has no storage");
        };
        Ok(View {
            storage: storage.clone(),
            offset: usize::try_from(*offset).context("A tensor has an impossible offset")?,
            shape: self.dims(shape)?,
            stride: self.dims(stride)?,
        })
    }

    fn dims(&self, value: &Value) -> Result<Vec<usize>> {
        let dim = |value: &Value| match value {
            Value::Int(dim) => usize::try_from(*dim).context("A tensor has an impossible shape"),
            _ => bail!("A tensor has a shape that is no list of numbers"),
        };
        self.tuple(value)?.iter().map(dim).collect()
    }

    fn tuple(&self, value: &Value) -> Result<&[Value]> {
        match value {
            Value::Object(index) => match self.objects.get(*index) {
                Some(Object::Tuple(items)) => Ok(items),
                _ => bail!("The pickle has something else where a tuple belongs"),
            },
            _ => bail!("The pickle has something else where a tuple belongs"),
        }
    }

    fn items(&self, value: &Value) -> Result<&[Value]> {
        match value {
            Value::Object(index) => match self.objects.get(*index) {
                Some(Object::Tuple(items) | Object::List(items)) => Ok(items),
                _ => bail!("The pickle has something else where a list belongs"),
            },
            _ => bail!("The pickle has something else where a list belongs"),
        }
    }
}
